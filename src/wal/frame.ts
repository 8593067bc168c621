// hot path
/**
 * How records stand in a file: each behind a mark, its length and its sum, so that what is torn or damaged is found, and what stands behind it.
 *
 *   [mark u32][length u32][CRC-32 of the body u32][body …]            a frame; big endian
 *   [mark u32][2^31 + length u32][CRC-32 of these eight u32][▒▒▒▒▒▒]   a gap: damage of so many bytes, found and told before
 *   [mark u32][0 u32][CRC-32 of these eight u32]                      the seal: nothing is appended behind it
 *
 * The mark is four random bytes of the segment's own: behind damage the next frame begins where it stands. So nothing is taken for a frame that only looks
 * like one, be it text that somebody sent and that stands in a body, be it what an older file left on the medium.
 */
import { crc32 } from 'node:zlib';

export const FRAME_HEAD = 12;
/** The longest body: a batch of a tick, or what one message carries, many times over. */
export const BODY_BYTES_MAX: number = 2 * 2 ** 20;
export const GAP: number = 2 ** 31;

/** Fills in the head of a frame whose body stands in [FRAME_HEAD, to). Returns the body's sum. */
export function finishFrame(bytes: Buffer, to: number, mark: number): number {
  const sum = crc32(bytes.subarray(FRAME_HEAD, to));
  bytes.writeUInt32BE(mark, 0);
  bytes.writeUInt32BE(to - FRAME_HEAD, 4);
  bytes.writeUInt32BE(sum, 8);
  return sum;
}

/** A frame of this body. */
export function frameOf(body: Uint8Array, mark: number): Buffer {
  const frame = Buffer.allocUnsafe(FRAME_HEAD + body.length);
  frame.set(body, FRAME_HEAD);
  finishFrame(frame, frame.length, mark);
  return frame;
}

export function sealOf(mark: number): Buffer {
  return control(mark, 0);
}

/** The head of a gap that takes up so many bytes in all, at least FRAME_HEAD. */
export function gapOf(mark: number, bytes: number): Buffer {
  return control(mark, GAP + bytes - FRAME_HEAD);
}

function control(mark: number, length: number): Buffer {
  const head = Buffer.allocUnsafe(FRAME_HEAD);
  head.writeUInt32BE(mark, 0);
  head.writeUInt32BE(length, 4);
  head.writeUInt32BE(crc32(head.subarray(0, 8)), 8);
  return head;
}

/** What begins at `at`: bytes of the sound frame, gap or seal; 0: nothing sound; below 0: only so many bytes will tell. */
export function frameAt(bytes: Buffer, at: number, to: number, mark: number): number {
  if (to - at < FRAME_HEAD) return -FRAME_HEAD;
  if (bytes.readUInt32BE(at) !== mark) return 0;
  const length = bytes.readUInt32BE(at + 4);
  const sum = bytes.readUInt32BE(at + 8);
  if (length === 0 || length >= GAP) return crc32(bytes.subarray(at, at + 8)) === sum ? FRAME_HEAD + (length % GAP) : 0;
  if (length > BODY_BYTES_MAX) return 0;
  const end = at + FRAME_HEAD + length;
  if (end > to) return at - end;
  return crc32(bytes.subarray(at + FRAME_HEAD, end)) === sum ? end - at : 0;
}
