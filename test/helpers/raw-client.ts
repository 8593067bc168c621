/** A client on a bare socket: sends bytes as they are, and says what came back and how the connection ended. */
import { connect, type Socket } from 'node:net';
import { setImmediate as turn } from 'node:timers/promises';

export interface RawResponse {
  readonly status: number;
  /** Lower-case names; values joined by `, `. */
  readonly headers: Readonly<Record<string, string>>;
  readonly headText: string;
  readonly body: string;
  /** False when the framing says that more was to come. */
  readonly isWhole: boolean;
}

export interface RawResult {
  readonly responses: readonly RawResponse[];
  readonly text: string;
  readonly end: 'closed' | 'reset' | 'open';
}

/** Of silence. Who says how many answers there are waits for them as long as a busy machine may need; who does not, until no more come. */
const WAIT_MS = { counted: 3000, open: 300 };

/** Sends, then listens until the connection ends, `responses` are whole, or `waitMs` passed without a byte. */
export function exchangeRaw(
  port: number,
  bytes: string | Buffer,
  o: { responses?: number; waitMs?: number; method?: string; half?: boolean } = {},
): Promise<RawResult> {
  const { responses: wanted = Number.POSITIVE_INFINITY, method = 'GET' } = o;
  const { waitMs = o.responses === undefined ? WAIT_MS.open : WAIT_MS.counted } = o;
  return new Promise((resolve) => {
    const socket: Socket = connect(port, '127.0.0.1');
    const chunks: Buffer[] = [];
    let idle: NodeJS.Timeout;
    let isDone = false;
    const finish = (end: RawResult['end']): void => {
      if (isDone) return;
      isDone = true;
      clearTimeout(idle);
      const text = Buffer.concat(chunks).toString('latin1');
      socket.destroy();
      resolve({ responses: parseResponses(text, method), text, end });
    };
    const rearm = (): void => {
      clearTimeout(idle);
      idle = setTimeout(() => finish('open'), waitMs);
    };
    socket.on('connect', () => {
      socket.write(typeof bytes === 'string' ? Buffer.from(bytes, 'latin1') : bytes);
      if (o.half) socket.end();
      rearm();
    });
    socket.on('data', (chunk) => {
      chunks.push(chunk);
      rearm();
      const whole = parseResponses(Buffer.concat(chunks).toString('latin1'), method).filter(
        (each) => each.isWhole && each.status >= 200,
      );
      if (whole.length >= wanted) finish('open');
    });
    socket.on('end', () => finish('closed'));
    socket.on('error', () => finish('reset'));
    socket.on('close', () => finish('closed'));
  });
}

export function parseResponses(text: string, method: string): RawResponse[] {
  const responses: RawResponse[] = [];
  let rest = text;
  while (rest.startsWith('HTTP/1.')) {
    const end = rest.indexOf('\r\n\r\n');
    if (end === -1) break;
    const headText = rest.slice(0, end);
    const [line, ...fields] = headText.split('\r\n');
    const headers: Record<string, string> = {};
    for (const field of fields) {
      const colon = field.indexOf(':');
      const name = field.slice(0, colon).toLowerCase();
      const value = field.slice(colon + 1).trim();
      headers[name] = headers[name] === undefined ? value : `${headers[name]}, ${value}`;
    }
    const status = Number((line as string).split(' ')[1]);
    const read = readBody(rest.slice(end + 4), headers, status, method);
    responses.push({ status, headers, headText, body: read.body, isWhole: read.isWhole });
    rest = read.rest;
  }
  return responses;
}

function readBody(
  text: string,
  headers: Readonly<Record<string, string>>,
  status: number,
  method: string,
): { body: string; rest: string; isWhole: boolean } {
  if (method === 'HEAD' || status < 200 || status === 204 || status === 304)
    return { body: '', rest: text, isWhole: true };
  if (headers['transfer-encoding'] === 'chunked') return readChunked(text);
  if (headers['content-length'] !== undefined) {
    const length = Number(headers['content-length']);
    return { body: text.slice(0, length), rest: text.slice(length), isWhole: text.length >= length };
  }
  return { body: text, rest: '', isWhole: false };
}

function readChunked(text: string): { body: string; rest: string; isWhole: boolean } {
  let body = '';
  let at = 0;
  for (;;) {
    const end = text.indexOf('\r\n', at);
    if (end === -1) return { body, rest: '', isWhole: false };
    const size = Number.parseInt(text.slice(at, end), 16);
    at = end + 2;
    if (size === 0) {
      const last = text.startsWith('\r\n', at) ? at + 2 : text.indexOf('\r\n\r\n', at) + 4;
      return { body, rest: text.slice(last), isWhole: last >= at + 2 };
    }
    if (Number.isNaN(size) || text.length < at + size + 2)
      return { body: body + text.slice(at, at + size), rest: '', isWhole: false };
    body += text.slice(at, at + size);
    at += size + 2;
  }
}

export interface RawClient {
  readonly socket: Socket;
  text(): string;
  isClosed(): boolean;
}

/** A connection that stays until the test closes it, and what came on it so far. */
export async function openRaw(t: { teardown(end: () => unknown): void }, port: number): Promise<RawClient> {
  const socket = connect({ port, host: '127.0.0.1', noDelay: true });
  let text = '';
  let isClosed = false;
  socket.on('error', () => {}).on('data', (chunk) => (text += chunk.toString('latin1')));
  socket.on('close', () => (isClosed = true));
  t.teardown(() => socket.destroy());
  await new Promise((resolve) => socket.once('connect', resolve));
  return { socket, text: () => text, isClosed: () => isClosed };
}

/** Each piece is read by itself, when the reader is in this process: its turn comes in between. */
export async function inPieces(socket: Socket, pieces: readonly string[]): Promise<void> {
  for (const piece of pieces) {
    await new Promise((resolve) => socket.write(Buffer.from(piece, 'latin1'), resolve));
    for (let turns = 0; turns < 3; turns++) await turn();
  }
}
