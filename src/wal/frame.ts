// hot path
/**
 * How records stand in a file: each behind its length and its sum, so that what is torn or damaged is found.
 *
 *   [length u32][CRC-32 of the body u32][body …]      big endian
 */
import { crc32 } from 'node:zlib';

export const FRAME_HEAD = 8;
/** The longest body. */
export const BODY_BYTES_MAX: number = 2 * 2 ** 20;

/** Fills in the head of a frame whose body stands in [from + FRAME_HEAD, to). Returns the body's sum. */
export function sealFrame(bytes: Buffer, from: number, to: number): number {
  const sum = crc32(bytes.subarray(from + FRAME_HEAD, to));
  bytes.writeUInt32BE(to - from - FRAME_HEAD, from);
  bytes.writeUInt32BE(sum, from + 4);
  return sum;
}

/** Bytes of the whole frame that begins there; 0: none does, or it is not whole. */
export function frameBytes(bytes: Buffer, from: number, to: number): number {
  if (to - from < FRAME_HEAD) return 0;
  const length = bytes.readUInt32BE(from);
  // No body is empty: a file that was made longer and not written is full of zeros.
  if (length === 0 || length > BODY_BYTES_MAX || length > to - from - FRAME_HEAD) return 0;
  const body = bytes.subarray(from + FRAME_HEAD, from + FRAME_HEAD + length);
  return crc32(body) === bytes.readUInt32BE(from + 4) ? FRAME_HEAD + length : 0;
}

/** Where the next sound frame begins behind a damaged place; -1: nowhere. */
export function nextFrame(bytes: Buffer, from: number, to: number): number {
  for (let at = from; at + FRAME_HEAD < to; at++) if (frameBytes(bytes, at, to) > 0) return at;
  return -1;
}
