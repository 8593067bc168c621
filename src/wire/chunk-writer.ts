// hot path
/**
 * Frames content as chunks (RFC 9112 §7.1). Before content goes its size, in place: whoever copies content leaves `CHUNK_ROOM` bytes
 * before it, so that a read of many small chunks goes on as one.
 *
 *   out   ........1a2␍␊content␍␊
 *         ╰ room ────╯
 */

/** 8 hex digits and CRLF: chunks of up to 4 GiB. */
export const CHUNK_ROOM = 10;
/** What ends a body without trailers. */
export const LAST_CHUNK: Uint8Array = Buffer.from('0\r\n\r\n');

/**
 * Frames the content that stands from `from` to `to`, at least one byte; before it are `CHUNK_ROOM` bytes free and behind it two.
 * Says where the chunk begins; it ends at `to` + 2.
 */
export function frameChunk(bytes: Uint8Array, from: number, to: number): number {
  let at = from - 1;
  bytes[at--] = 10;
  bytes[at] = 13;
  for (let rest = to - from; rest > 0; rest = Math.floor(rest / 16)) bytes[--at] = hexByte(rest % 16);
  bytes[to] = 13;
  bytes[to + 1] = 10;
  return at;
}

function hexByte(digit: number): number {
  return digit < 10 ? 48 + digit : 87 + digit;
}
