/**
 * Many texts in one run of bytes: handed from thread to thread without a copy, held outside the heap, where the collector has nothing
 * to move, and each read back when it is asked for.
 */
export interface PackedTexts {
  /** UTF-8. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** Where each text ends. */
  readonly ends: Uint32Array<ArrayBuffer>;
}

export function pack(texts: readonly string[]): PackedTexts {
  // A unit of UTF-16 takes three bytes at most.
  const room = new Uint8Array(texts.reduce((sum, text) => sum + text.length * 3, 0));
  const ends = new Uint32Array(texts.length);
  let end = 0;
  for (const [at, text] of texts.entries()) {
    end += encoder.encodeInto(text, room.subarray(end)).written;
    ends[at] = end;
  }
  return { bytes: room.slice(0, end), ends };
}

export function unpack({ bytes, ends }: PackedTexts, at: number): string {
  return decoder.decode(bytes.subarray(at === 0 ? 0 : (ends[at - 1] as number), ends[at] as number));
}

const encoder = new TextEncoder();
const decoder = new TextDecoder();
