/**
 * A backend on a bare socket: keeps every byte it was sent, reads requests by the letter of RFC 9112 and forgives nothing, so that what
 * it finds wrong is wrong for somebody. Each whole request is answered with what the test says.
 */
import { createServer, type Socket } from 'node:net';
import { type Ending, listening } from './sidecar.ts';

export interface Recorded {
  readonly method: string;
  readonly target: string;
  readonly fields: readonly (readonly [string, string])[];
  readonly framing: 'none' | 'length' | 'chunked';
  readonly body: string;
  readonly trailers: readonly (readonly [string, string])[];
}

export interface Recorder {
  readonly url: string;
  readonly requests: Recorded[];
  /** What was not sound: the reason and the bytes it stands in. */
  readonly faults: string[];
  /** Every byte that arrived, connections mixed. */
  text(): string;
  clear(): void;
  /** The answer to a whole request; `Connection: close` in it ends the connection behind it, undefined ends it without one. */
  answer: (request: Recorded) => string | undefined;
}

export const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok';

/** As OK, to HEAD: a body behind it would be the beginning of the next answer. */
const OK_TO_HEAD = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n';
const ok = ({ method }: Recorded): string => (method === 'HEAD' ? OK_TO_HEAD : OK);

export async function recorder(t: Ending, answer: Recorder['answer'] = ok): Promise<Recorder> {
  let all = '';
  const state = { url: '', requests: [] as Recorded[], faults: [] as string[], answer };
  const server = createServer((socket) => {
    let text = '';
    let isContinued = false;
    socket.on('error', () => {});
    socket.on('data', (chunk) => {
      all += chunk.toString('latin1');
      text += chunk.toString('latin1');
      for (;;) {
        const read = readRequest(text);
        if (read === 'more') break;
        if (typeof read === 'string') {
          state.faults.push(`${read}: ${JSON.stringify(text.slice(0, 400))}`);
          return void socket.destroy();
        }
        state.requests.push(read.request);
        text = read.rest;
        isContinued = false;
        reply(socket, own.answer(read.request));
      }
      if (!isContinued && /\r\nexpect: 100-continue\r\n[\s\S]*\r\n\r\n$/i.test(text)) {
        isContinued = true;
        socket.write('HTTP/1.1 100 Continue\r\n\r\n');
      }
    });
  });
  const own: Recorder = Object.assign(state, {
    text: () => all,
    clear() {
      all = '';
      state.requests.length = 0;
      state.faults.length = 0;
    },
  });
  state.url = `http://127.0.0.1:${await listening(t, server)}`;
  return own;
}

function reply(socket: Socket, answer: string | undefined): void {
  if (answer === undefined) socket.destroy();
  else if (/\r\nconnection: close\r\n/i.test(answer)) socket.end(Buffer.from(answer, 'latin1'));
  else socket.write(Buffer.from(answer, 'latin1'));
}

const TOKEN = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;

type Read = { readonly request: Recorded; readonly rest: string };

/** One request and what stands behind it, `more`, or what is wrong. */
function readRequest(text: string): Read | 'more' | string {
  const end = text.indexOf('\r\n\r\n');
  if (end === -1) return 'more';
  const [line, ...rows] = text.slice(0, end).split('\r\n') as [string, ...string[]];
  const start = /^([^ ]+) ([\x21-\x7e]+) HTTP\/1\.1$/.exec(line);
  if (start === null || !TOKEN.test(start[1] as string)) return 'request line';
  const fields = readFields(rows);
  if (fields === undefined) return 'field';
  const all = (name: string): string[] =>
    fields.filter(([each]) => each.toLowerCase() === name).map(([, value]) => value);
  const [lengths, codings] = [all('content-length'), all('transfer-encoding')];
  if (all('host').length !== 1) return 'not one Host';
  if (lengths.length + codings.length > 1) return 'more than one framing field';
  const head = { method: start[1] as string, target: start[2] as string, fields };
  if (codings.length === 1) {
    if (codings[0] !== 'chunked') return 'transfer coding';
    const read = readChunks(text.slice(end + 4));
    return typeof read === 'string'
      ? read
      : { request: { ...head, framing: 'chunked', body: read.body, trailers: read.trailers }, rest: read.rest };
  }
  const length = lengths[0] ?? '0';
  if (!/^(0|[1-9]\d*)$/.test(length)) return 'content length';
  const body = text.slice(end + 4, end + 4 + Number(length));
  if (body.length < Number(length)) return 'more';
  const framing = lengths.length === 1 ? 'length' : 'none';
  return { request: { ...head, framing, body, trailers: [] }, rest: text.slice(end + 4 + body.length) };
}

function readFields(rows: readonly string[]): [string, string][] | undefined {
  const fields: [string, string][] = [];
  for (const row of rows) {
    const colon = row.indexOf(':');
    const name = row.slice(0, colon);
    if (!TOKEN.test(name) || hasControls(row)) return undefined;
    fields.push([name, row.slice(colon + 1).trim()]);
  }
  return fields;
}

function hasControls(row: string): boolean {
  return [...row].some((each) => (each < ' ' && each !== '\t') || each === '\x7f');
}

function readChunks(
  text: string,
): { body: string; trailers: [string, string][]; rest: string } | 'more' | 'chunk size' | 'chunk end' | 'trailer' {
  let body = '';
  let at = 0;
  for (;;) {
    const end = text.indexOf('\r\n', at);
    if (end === -1) return 'more';
    const line = text.slice(at, end);
    if (!/^[0-9a-fA-F]{1,12}$/.test(line)) return 'chunk size';
    const size = Number.parseInt(line, 16);
    at = end + 2;
    if (size === 0) break;
    if (text.length < at + size + 2) return 'more';
    if (text.slice(at + size, at + size + 2) !== '\r\n') return 'chunk end';
    body += text.slice(at, at + size);
    at += size + 2;
  }
  if (text.startsWith('\r\n', at)) return { body, trailers: [], rest: text.slice(at + 2) };
  const end = text.indexOf('\r\n\r\n', at);
  if (end === -1) return 'more';
  const trailers = readFields(text.slice(at, end).split('\r\n'));
  return trailers === undefined ? 'trailer' : { body, trailers, rest: text.slice(end + 4) };
}
