// hot path
/** The head that goes to the client, and what an upstream's answer may not be. */
import { STATUS_CODES } from 'node:http';
import type { Exchange, Pipeline, ResponseHead } from '../../pipeline/index.ts';
import { HeaderList, type Headers, HeadWriter, mayTrail, type ResponseReader } from '../../wire/index.ts';
import { addLines, endHead, linesOf, NO_BLOCK, reopenHead } from './lines.ts';

/** One for all: a head is copied from it at once. */
const writer = new HeadWriter();

/** One for all, as stages see it: it is theirs until they return, and its fields are cut off from the bytes thereafter. */
const seen: { -readonly [K in keyof ResponseHead]: ResponseHead[K] } = { status: 0, headers: new HeaderList([]) };

/** Runs an answer's head back through the stages. */
export function showHead(pipeline: Pipeline, x: Exchange, status: number, headers: Headers): void {
  seen.status = status;
  seen.headers = headers;
  pipeline.response(x, seen);
}

/** `appended`: fields of our own. What is returned is good until the next call. */
export function writeHeadDown(reader: ResponseReader, isLast: boolean, appended: readonly string[]): HeadWriter {
  writer.response(reader, isLast, NO_BLOCK);
  reopenHead(writer);
  addLines(writer, appended);
  endHead(writer);
  return writer;
}

/** An answer of ours, whole. To HEAD it has no content. */
export function messageOf(
  status: number,
  fields: readonly string[],
  body: string | Buffer,
  o: { isLast: boolean; isForHead: boolean },
): Buffer {
  const close = o.isLast ? 'Connection: close\r\n' : '';
  const text = `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? 'unknown'}\r\n${linesOf(fields)}${close}\r\n`;
  const head = Buffer.from(text, 'latin1');
  return o.isForHead ? head : Buffer.concat([head, typeof body === 'string' ? Buffer.from(body) : body]);
}

/** As node:http's writeEarlyHints wants links. */
const LINK = /^(?:<[^>]*>)(?:\s*;\s*[^;"\s]+(?:=(")?[^;"\s]*\1)?)*$/;

/** A 103 that says something a client may hear, or undefined. */
export function hintOf(headers: Headers, isProtectedName: (name: string) => boolean): string | undefined {
  const links = headers.all('link');
  if (links.length === 0 || !links.every((each) => LINK.test(each))) return undefined;
  let text = `HTTP/1.1 103 Early Hints\r\nLink: ${links.join(', ')}\r\n`;
  const { names, raw } = headers;
  for (let i = 0; i < names.length; i++) {
    const name = names[i] as string;
    if (name !== 'link' && mayTrail(name) && !isProtectedName(name)) text += `${name}: ${raw[2 * i + 1]}\r\n`;
  }
  return `${text}\r\n`;
}

/** The end of a chunked body with its trailers, those that may go on. */
export function lastChunkWith(trailers: Headers, isProtectedName: (name: string) => boolean): Buffer {
  const { names, raw } = trailers;
  let text = '0\r\n';
  for (let i = 0; i < names.length; i++)
    if (mayTrail(names[i] as string) && !isProtectedName(names[i] as string))
      text += `${raw[2 * i]}: ${raw[2 * i + 1]}\r\n`;
  return Buffer.from(`${text}\r\n`, 'latin1');
}
