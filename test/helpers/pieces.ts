/** Heads in pieces: what is read must not depend on where the bytes were cut, nor on where they lie in memory. */

/** Latin-1, as on the wire: one character, one byte. */
export function wire(text: string): Buffer {
  return Buffer.from(text, 'latin1');
}

export interface HeadReading<Verdict extends string> {
  read(bytes: Buffer, from: number, to: number): Verdict | 'more';
  resume(bytes: Buffer, from: number, to: number): Verdict | 'more';
}

/** The verdict on `head` cut in two at `cut`, the whole lying elsewhere than the first piece. */
export function readCut<Verdict extends string>(
  reader: HeadReading<Verdict>,
  head: Buffer,
  cut: number,
): Verdict | 'more' {
  const first = Buffer.concat([wire('junk'), head.subarray(0, cut), wire('junk')]);
  const verdict = reader.read(first, 4, 4 + cut);
  if (verdict !== 'more') return verdict;
  const whole = Buffer.concat([wire('other junk'), head, wire('\r\n\r\njunk')]);
  return reader.resume(whole, 10, 10 + head.length);
}

/** The cuts of `head` at which its verdict is another than whole. */
export function cutsThatDiffer<Verdict extends string>(reader: HeadReading<Verdict>, head: Buffer): number[] {
  const whole = reader.read(head, 0, head.length);
  const differing: number[] = [];
  for (let cut = 0; cut <= head.length; cut++) if (readCut(reader, head, cut) !== whole) differing.push(cut);
  return differing;
}
