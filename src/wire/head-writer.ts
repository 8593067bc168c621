// hot path
/**
 * Writes heads for the next hop into one buffer that is used again: what is kept of the source's fields as it came (order, case,
 * duplicates), Host and framing made anew, a block of fields of our own last.
 *
 *   source   GET /a HTTP/1.1␍␊Accept: *␍␊Host: b␍␊Connection: close␍␊Cookie: c␍␊␍␊
 *            ╰─────────────╯  ╰────────╯                           ╰────────╯   runs, copied
 *   out      GET /a HTTP/1.1␍␊Host: b␍␊Accept: *␍␊Cookie: c␍␊Content-Length: 0␍␊ block ␍␊
 *
 * Bound: the source's head, the block and 128 bytes.
 */
import { STATUS_CODES } from 'node:http';
import type { FieldTable } from './field-table.ts';
import { knownId } from './known-fields.ts';
import type { RequestReader } from './request-reader.ts';
import type { ResponseReader } from './response-reader.ts';

/** Enough for whatever is written beside source and block: status line, Host's name, one framing field, Connection, the last line. */
const SLACK_BYTES = 128;
/** Shorter runs are copied faster by a loop than by a call (bench/micro). */
const CALL_BYTES_MIN = 48;
const FIRST_BYTES = 4096;

const HOST_FIELD = knownId('host');
const HOST = Buffer.from('Host: ');
const CONTENT_LENGTH = Buffer.from('Content-Length: ');
const CHUNKED = Buffer.from('Transfer-Encoding: chunked\r\n');
const CLOSE = Buffer.from('Connection: close\r\n');
const CRLF = Buffer.from('\r\n');
const COLON_SPACE = Buffer.from(': ');
/** By status, made when first needed: at most 500. */
const STATUS_LINES: (Buffer | undefined)[] = new Array(600);

export class HeadWriter {
  /** What was written stands here from 0 to `length`, until the next head is written. */
  bytes: Buffer = Buffer.allocUnsafeSlow(FIRST_BYTES);
  length = 0;

  /**
   * A request's head for the upstream. `block` holds whole field lines of our own, each with its CRLF. The body is what
   * `contentLength` of the request says it is.
   */
  request(head: RequestReader, block: Uint8Array): void {
    const { fields } = head;
    const host = fields.first(HOST_FIELD);
    this.#begin(head.headBytes + block.length);
    this.#copy(fields.bytes, fields.base, fields.nameFrom(0));
    this.#copy(HOST, 0, HOST.length);
    this.#copy(fields.bytes, fields.valueFrom(host), fields.valueTo(host));
    this.#copy(CRLF, 0, 2);
    this.#fields(fields);
    this.#contentLength(head.contentLength);
    this.#end(block);
  }

  /**
   * A response's head for the client, who speaks HTTP/1.1. A body that ends with the upstream's connection goes on in chunks.
   * `isLast`: the connection ends after it. The reason phrase is the standard one: nobody reads it, and upstreams have put anything there.
   */
  response(head: ResponseReader, isLast: boolean, block: Uint8Array): void {
    const { status, framing } = head;
    const line = (STATUS_LINES[status] ??= statusLine(status));
    this.#begin(head.headBytes + block.length);
    this.#copy(line, 0, line.length);
    this.#fields(head.fields);
    if (framing === 'chunked' || framing === 'close') this.#copy(CHUNKED, 0, CHUNKED.length);
    // RFC 9110 §8.6: also without a body, as it would have been; but never with 204.
    else if (status !== 204) this.#contentLength(head.contentLength);
    if (isLast) this.#copy(CLOSE, 0, CLOSE.length);
    this.#end(block);
  }

  #begin(bytes: number): void {
    if (bytes + SLACK_BYTES > this.bytes.length) this.bytes = Buffer.allocUnsafeSlow(bytes + SLACK_BYTES);
    this.length = 0;
  }

  #end(block: Uint8Array): void {
    this.#copy(block, 0, block.length);
    this.#copy(CRLF, 0, 2);
  }

  /** Runs of lines that are kept; line by line, normalised, where some have white space that others could read differently. */
  #fields(fields: FieldTable): void {
    const { count, kept } = fields;
    for (let i = 0; i < count; i++) {
      if (kept[i] === 0) continue;
      if (fields.hasOddSpace) {
        this.#field(fields, i);
        continue;
      }
      const run = i;
      while (i < count && kept[i] === 1) i++;
      this.#copy(fields.bytes, fields.nameFrom(run), fields.nameFrom(i));
    }
  }

  #field(fields: FieldTable, i: number): void {
    this.#copy(fields.bytes, fields.nameFrom(i), fields.nameTo(i));
    this.#copy(COLON_SPACE, 0, 2);
    this.#copy(fields.bytes, fields.valueFrom(i), fields.valueTo(i));
    this.#copy(CRLF, 0, 2);
  }

  #contentLength(length: number): void {
    if (length < 0) return;
    this.#copy(CONTENT_LENGTH, 0, CONTENT_LENGTH.length);
    let digits = 1;
    for (let rest = length; rest >= 10; rest = Math.floor(rest / 10)) digits++;
    let rest = length;
    for (let i = this.length + digits - 1; i >= this.length; i--) {
      this.bytes[i] = 48 + (rest % 10);
      rest = Math.floor(rest / 10);
    }
    this.length += digits;
    this.#copy(CRLF, 0, 2);
  }

  #copy(from: Uint8Array, start: number, end: number): void {
    const { bytes } = this;
    let at = this.length;
    if (end - start >= CALL_BYTES_MIN) at += (from as Buffer).copy(bytes, at, start, end);
    else for (let i = start; i < end; i++) bytes[at++] = from[i] as number;
    this.length = at;
  }
}

function statusLine(status: number): Buffer {
  return Buffer.from(`HTTP/1.1 ${status} ${STATUS_CODES[status] ?? 'unknown'}\r\n`);
}
