// hot path
/** Field lines of our own, behind those a `HeadWriter` wrote. */
import type { HeadWriter } from '../../wire/index.ts';

/** Above Latin-1, a character loses its upper byte when it is written, and may become the end of a line. */
const NOT_ONE_LINE = /[\n\r\u0100-\uffff]/;

/** Names and values alternating. Throws on a value that would be more than one line: nothing of ours has such a one. */
export function linesOf(pairs: readonly string[]): string {
  let text = '';
  for (let i = 0; i < pairs.length; i += 2) {
    const value = pairs[i + 1] as string;
    if (NOT_ONE_LINE.test(value)) throw new Error(`the value of ${pairs[i]} is not one line`);
    text += `${pairs[i]}: ${value}\r\n`;
  }
  return text;
}

export const NO_BLOCK: Uint8Array = new Uint8Array(0);
const EMPTY_LINE_BYTES = 2;
const CR = 13;
const LF = 10;

/** Takes back the empty line that ends a head, so that more lines can follow; `endHead` writes it again. */
export function reopenHead(writer: HeadWriter): void {
  writer.length -= EMPTY_LINE_BYTES;
}

export function endHead(writer: HeadWriter): void {
  makeRoom(writer, EMPTY_LINE_BYTES);
  writer.bytes[writer.length++] = CR;
  writer.bytes[writer.length++] = LF;
}

/** Names and values alternating, as `linesOf` has them, without making the text of them. */
export function addLines(writer: HeadWriter, pairs: readonly string[]): void {
  for (let i = 0; i < pairs.length; i += 2) addLine(writer, pairs[i] as string, pairs[i + 1] as string);
}

export function addLine(writer: HeadWriter, name: string, value: string): void {
  addText(writer, name);
  addText(writer, ': ');
  const from = writer.length;
  addText(writer, value);
  if (!isOneLine(writer.bytes, from, writer.length)) throw new Error(`the value of ${name} is not one line`);
  addText(writer, '\r\n');
}

function isOneLine(bytes: Buffer, from: number, to: number): boolean {
  for (let i = from; i < to; i++) if (bytes[i] === LF || bytes[i] === CR) return false;
  return true;
}

/** Latin-1, as header bytes are (RFC 9110 §5.5). */
export function addText(writer: HeadWriter, text: string): void {
  const { length } = text;
  makeRoom(writer, length);
  const { bytes } = writer;
  let at = writer.length;
  if (length >= CALL_CHARS_MIN) at += bytes.write(text, at, 'latin1');
  else for (let i = 0; i < length; i++) bytes[at++] = text.charCodeAt(i);
  writer.length = at;
}

/** Shorter texts are written faster by a loop than by a call of Node's. */
const CALL_CHARS_MIN = 16;

export function addBytes(writer: HeadWriter, bytes: Buffer, from: number, to: number): void {
  makeRoom(writer, to - from);
  writer.length += bytes.copy(writer.bytes, writer.length, from, to);
}

function makeRoom(writer: HeadWriter, bytes: number): void {
  const { length } = writer;
  if (length + bytes <= writer.bytes.length) return;
  const larger = Buffer.allocUnsafeSlow(2 * (length + bytes));
  writer.bytes.copy(larger, 0, 0, length);
  writer.bytes = larger;
}
