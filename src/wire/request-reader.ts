// hot path
/**
 * Reads the head of a boring request from bytes: HTTP/1.1, a method that Node knows, origin-form, exactly one plain Host, token names, legal
 * values, CRLF only, no body or one Content-Length, Connection absent or exactly keep-alive or close. That is nearly all traffic.
 *
 * Everything else is `other`: rare, doubtful or malformed, it is for the general engine to serve or to refuse, from the same
 * untouched bytes. So this reader never refuses, and what it is not sure of it need not know. What it calls boring, llhttp and the
 * gate read in the same way; `scripts/fuzz.ts` tries to show otherwise.
 *
 * One reader serves one head at a time, for as long as the head is looked at. A head that came in pieces is read on with `resume`.
 */
import { METHODS as PARSED } from 'node:http';
import { CLASS, COLON, contentLengthOf, equalsFolded, HOST, PATH, SPACE, startsWith, TARGET } from './bytes.ts';
import { FieldTable, MORE } from './field-table.ts';
import { HOP_BY_HOP_NAMES } from './hop-by-hop.ts';
import { KeptTexts } from './kept-texts.ts';
import { knownId } from './known-fields.ts';

/**
 * - `boring`: the head is complete and the reader holds it. - `more`: sound so far, but not complete.
 * - `other`: hand the connection over, all bytes from the beginning of this head included.
 */
export type RequestVerdict = 'boring' | 'more' | 'other';

export interface RequestBounds {
  readonly headersMax: number;
  readonly headBytesMax: number;
  readonly targetBytesMax: number;
}

/** Fields of a boring request: whoever allows more by configuration gets them by the general engine. 100: as HAProxy's `tune.http.maxhdr`. */
const BORING_FIELDS_MAX = 100;
/**
 * A line that is not complete is read anew with its next piece: with this many pieces a client that sends single bytes makes us read
 * at most 32 × `headBytesMax` bytes, about a millisecond; then llhttp, which keeps its place within a line, has it.
 */
const PIECES_MAX = 32;
/** A host name has 253 bytes at most (RFC 1035 §2.3.4), a port 6 with its colon. */
const HOST_BYTES_MAX = 260;
const PORT_MAX = 65_535;

/** Those llhttp knows and the gate lets pass; first those that most requests have. */
const FREQUENT = ['GET', 'POST', 'PUT', 'DELETE', 'PATCH', 'HEAD', 'OPTIONS'];
const METHODS = [...FREQUENT, ...PARSED.filter((each) => ![...FREQUENT, 'CONNECT', 'TRACE'].includes(each))];
const METHOD_BYTES = METHODS.map((each) => Buffer.from(`${each} `));
const VERSION = Buffer.from('HTTP/1.1\r\n');
const KEEP_ALIVE = Buffer.from('keep-alive');
const CLOSE = Buffer.from('close');

const HOST_FIELD = knownId('host');
const CONTENT_LENGTH = knownId('content-length');
const CONNECTION = knownId('connection');
/** Fields whose meaning is about more than this head (RFC 9110 §7.6.1, §10.1.1): the general engine knows it. */
const OTHER_BITS = bits(...HOP_BY_HOP_NAMES, 'expect') & ~(1 << CONNECTION);
const ONCE_BITS = bits('host', 'content-length', 'connection');

function bits(...names: Parameters<typeof knownId>[0][]): number {
  return names.reduce((sum, name) => sum | (1 << knownId(name)), 0);
}

/** Clients name the same few hosts over and over. */
const hosts = new KeptTexts((bytes) => bytes.toString('latin1').toLowerCase());

export class RequestReader {
  readonly fields: FieldTable;
  method = 'GET';
  /** Offsets relative to the beginning of the head, like those of `fields`. */
  targetFrom = 0;
  /** Where the path ends: at the `?`, or where the target does. */
  pathTo = 0;
  targetTo = 0;
  /** Behind the empty line: there the body begins, or the next request. */
  headBytes = 0;
  /** -1 without Content-Length. */
  contentLength = -1;
  /** Where the host ends within the value of the Host field, before a port. Relative like all. */
  hostTo = 0;
  /** Of the Host field; 0 without one. */
  port = 0;
  keepAlive = true;
  readonly #headBytesMax: number;
  readonly #targetBytesMax: number;
  #lineBytes = 0;
  #pieces = 0;

  constructor({ headersMax, headBytesMax, targetBytesMax }: RequestBounds) {
    this.fields = new FieldTable(Math.min(headersMax, BORING_FIELDS_MAX));
    this.#headBytesMax = headBytesMax;
    this.#targetBytesMax = targetBytesMax;
  }

  /** Reads the head that begins at `from`; there are bytes up to `to`. */
  read(bytes: Buffer, from: number, to: number): RequestVerdict {
    this.#lineBytes = 0;
    this.#pieces = 0;
    return this.resume(bytes, from, to);
  }

  /** After `more`: the same head with more bytes, wherever it lies by now. */
  resume(bytes: Buffer, from: number, to: number): RequestVerdict {
    const { fields } = this;
    // Nothing beyond the bound is looked at: a head that does not end within it is not boring.
    const end = Math.min(to, from + this.#headBytesMax);
    fields.moveTo(bytes, from);
    if (this.#lineBytes === 0) {
      const verdict = this.#line(bytes, from, end);
      if (verdict !== undefined) return verdict === 'more' ? this.#incomplete(end - from) : verdict;
      fields.begin(this.#lineBytes);
    }
    const headBytes = fields.scan(end);
    if (headBytes < 0 && headBytes !== MORE) return 'other';
    // Looked at before the head is complete too: what llhttp refuses at once must not wait here for bytes that never come.
    if (!this.#isPlain(bytes)) return 'other';
    if (headBytes === MORE) return this.#incomplete(end - from);
    this.headBytes = headBytes;
    // The gate counts a space in every line, also where there is none: one more a field is never less than it counts.
    const isWithinBound = headBytes + fields.count <= this.#headBytesMax;
    return isWithinBound && fields.first(HOST_FIELD) !== -1 ? 'boring' : 'other';
  }

  #incomplete(bytes: number): RequestVerdict {
    return bytes >= this.#headBytesMax || ++this.#pieces > PIECES_MAX ? 'other' : 'more';
  }

  /** RFC 9112 §3. Undefined when the request line is complete and boring. */
  #line(bytes: Buffer, from: number, to: number): RequestVerdict | undefined {
    let at = from;
    let match: ReturnType<typeof startsWith> = 'no';
    for (let i = 0; i < METHODS.length && match === 'no'; i++) {
      const method = METHOD_BYTES[i] as Buffer;
      match = startsWith(bytes, from, to, method);
      this.method = METHODS[i] as string;
      at = from + method.length;
    }
    if (match !== 'match') return match === 'part' ? 'more' : 'other';
    if (at === to) return 'more';
    // Origin-form only (RFC 9112 §3.2.1): absolute-form, authority-form and `*` are not boring.
    if (bytes[at] !== 47) return 'other';
    this.targetFrom = at - from;
    while (at < to && ((CLASS[bytes[at] as number] as number) & PATH) !== 0) at++;
    this.pathTo = at - from;
    while (at < to && ((CLASS[bytes[at] as number] as number) & TARGET) !== 0) at++;
    this.targetTo = at - from;
    if (this.targetTo - this.targetFrom > this.#targetBytesMax) return 'other';
    if (at === to) return 'more';
    if (bytes[at] !== SPACE) return 'other';
    const version = startsWith(bytes, at + 1, to, VERSION);
    if (version !== 'match') return version === 'part' ? 'more' : 'other';
    this.#lineBytes = at + 1 + VERSION.length - from;
    return undefined;
  }

  /** Whether the fields so far may be those of a boring request. */
  #isPlain(bytes: Buffer): boolean {
    const { seen, seenTwice, hasOddSpace } = this.fields;
    if ((seen & OTHER_BITS) !== 0 || (seenTwice & ONCE_BITS) !== 0 || hasOddSpace) return false;
    return this.#isHostPlain(bytes) && this.#isFramingPlain(bytes) && this.#isConnectionPlain(bytes);
  }

  /** RFC 9112 §3.2 and RFC 9110 §7.2: exactly one, a plain name or IPv4 address, with or without port. */
  #isHostPlain(bytes: Buffer): boolean {
    const { fields } = this;
    const field = fields.first(HOST_FIELD);
    if (field === -1) return true;
    const from = fields.valueFrom(field);
    const to = fields.valueTo(field);
    if (to - from > HOST_BYTES_MAX) return false;
    let at = from;
    while (at < to && ((CLASS[bytes[at] as number] as number) & HOST) !== 0) at++;
    this.hostTo = at - fields.base;
    this.port = 0;
    // A trailing dot is the same host by another name.
    if (at === from || bytes[at - 1] === 46) return false;
    if (at === to) return true;
    this.port = bytes[at] === COLON ? portOf(bytes, at + 1, to) : -1;
    return this.port !== -1;
  }

  /** RFC 9112 §6.3. A body that GET or HEAD bring along is one that many servers do not expect. */
  #isFramingPlain(bytes: Buffer): boolean {
    const { fields } = this;
    const field = fields.first(CONTENT_LENGTH);
    this.contentLength = -1;
    if (field === -1) return true;
    this.contentLength = contentLengthOf(bytes, fields.valueFrom(field), fields.valueTo(field));
    if (this.method === 'GET' || this.method === 'HEAD') return this.contentLength === 0;
    return this.contentLength >= 0;
  }

  /** RFC 9112 §9.3. Nominations of fields (RFC 9110 §7.6.1) are for the gate to judge. */
  #isConnectionPlain(bytes: Buffer): boolean {
    const { fields } = this;
    const field = fields.first(CONNECTION);
    this.keepAlive = true;
    if (field === -1 || equalsFolded(bytes, fields.valueFrom(field), fields.valueTo(field), KEEP_ALIVE)) return true;
    this.keepAlive = false;
    return equalsFolded(bytes, fields.valueFrom(field), fields.valueTo(field), CLOSE);
  }

  /** Makes a string: the whole target, or the path alone. */
  target(): string {
    const { bytes, base } = this.fields;
    return bytes.toString('latin1', base + this.targetFrom, base + this.targetTo);
  }

  path(): string {
    const { bytes, base } = this.fields;
    return bytes.toString('latin1', base + this.targetFrom, base + this.pathTo);
  }

  /** Lower case, without port, as the gate's `host`. */
  host(): string {
    const { fields } = this;
    return hosts.of(fields.bytes, fields.valueFrom(fields.first(HOST_FIELD)), fields.base + this.hostTo);
  }

  /** As sent, with its port, as the gate's `authority`. */
  authority(): string {
    return this.fields.value(this.fields.first(HOST_FIELD));
  }
}

/** -1 for what is none. */
function portOf(bytes: Buffer, from: number, to: number): number {
  const port = to - from > 5 ? -1 : contentLengthOf(bytes, from, to);
  return port <= PORT_MAX ? port : -1;
}
