// hot path
/**
 * Reads the head of an upstream's response from bytes, strictly: there is no general engine to ask, so what is not sound is `bad`
 * and becomes a 502. Says how long the body is (RFC 9112 §6.3) and whether the connection may be used again afterwards.
 *
 *   HTTP/1.1 200 OK␍␊ fields ␍␊ ── framing ─▶ none | length | chunked | close
 *
 * One reader serves one head at a time, for as long as the head is looked at. A head that came in pieces is read on with `resume`.
 */
import { CLASS, CR, contentLengthOf, equalsFolded, LF, SPACE, startsWith, VALUE } from './bytes.ts';
import { FieldTable, MORE } from './field-table.ts';
import { listMembers } from './grammar.ts';
import { knownId } from './known-fields.ts';

/**
 * - `final`: the head is complete and the reader holds it. - `interim`: so it is, with a status of 1xx; another head follows.
 * - `more`: sound so far, but not complete. - `bad`: nobody knows what this is or where it ends; the connection must go.
 */
export type ResponseVerdict = 'final' | 'interim' | 'more' | 'bad';

/** The end of the body: there is none, after `contentLength` bytes, by its chunks, or with the connection. */
export type ResponseFraming = 'none' | 'length' | 'chunked' | 'close';

/** Status line and fields. 64 KiB: what undici is told on the general path. */
export const RESPONSE_HEAD_BYTES_MAX = 65_536;
/** As on the general path. */
export const RESPONSE_FIELDS_MAX = 500;
/** A line that is not complete is read anew with its next piece. Writers that send line by line need one a field. */
const PIECES_MAX = RESPONSE_FIELDS_MAX;

const PROTOCOL = Buffer.from('HTTP/1.');
const KEEP_ALIVE = Buffer.from('keep-alive');
const CLOSE = Buffer.from('close');
const CHUNKED = Buffer.from('chunked');
/** `HTTP/1.1 200`: nothing shorter says a status. */
const STATUS_TO = 12;

const CONNECTION = knownId('connection');
const PROXY_CONNECTION = knownId('proxy-connection');
const CONTENT_LENGTH = knownId('content-length');
const TRANSFER_ENCODING = knownId('transfer-encoding');
const FRAMING_BITS = (1 << CONTENT_LENGTH) | (1 << TRANSFER_ENCODING);

export class ResponseReader {
  readonly fields = new FieldTable(RESPONSE_FIELDS_MAX);
  status = 0;
  /** 0 or 1. */
  minorVersion = 1;
  framing: ResponseFraming = 'none';
  /** What Content-Length said, also where there is no body (HEAD, 304); -1 without. */
  contentLength = -1;
  /** Whether the connection may serve another request once this response has ended. */
  keepAlive = true;
  /** Behind the empty line: there the body begins. */
  headBytes = 0;
  #isForHead = false;
  #lineBytes = 0;
  #pieces = 0;

  /** Reads the head that begins at `from`; there are bytes up to `to`. `isForHead`: it answers a HEAD request. */
  read(bytes: Buffer, from: number, to: number, isForHead: boolean): ResponseVerdict {
    this.#isForHead = isForHead;
    this.#lineBytes = 0;
    this.#pieces = 0;
    return this.resume(bytes, from, to);
  }

  /** After `more`: the same head with more bytes, wherever it lies by now. */
  resume(bytes: Buffer, from: number, to: number): ResponseVerdict {
    const { fields } = this;
    const end = Math.min(to, from + RESPONSE_HEAD_BYTES_MAX);
    fields.moveTo(bytes, from);
    if (this.#lineBytes === 0) {
      const verdict = this.#line(bytes, from, end);
      if (verdict !== undefined) return verdict === 'more' ? this.#incomplete(end - from) : verdict;
      fields.begin(this.#lineBytes);
    }
    const headBytes = fields.scan(end);
    if (headBytes < 0) return headBytes === MORE ? this.#incomplete(end - from) : 'bad';
    this.headBytes = headBytes;
    this.#readConnection(bytes);
    if (this.status < 200) return this.#readInterim();
    return this.#readFraming(bytes) ? 'final' : 'bad';
  }

  #incomplete(bytes: number): ResponseVerdict {
    return bytes >= RESPONSE_HEAD_BYTES_MAX || ++this.#pieces > PIECES_MAX ? 'bad' : 'more';
  }

  /** RFC 9112 §4. Undefined when the status line is complete and sound. */
  #line(bytes: Buffer, from: number, to: number): ResponseVerdict | undefined {
    const protocol = startsWith(bytes, from, to, PROTOCOL);
    if (protocol !== 'match') return protocol === 'part' ? 'more' : 'bad';
    if (!this.#readNumbers(bytes, from, to)) return 'bad';
    let at = from + STATUS_TO;
    if (at >= to) return 'more';
    // The reason phrase may be empty, and some leave out the space before it too. Nobody reads it.
    if (bytes[at] === SPACE) while (at < to && ((CLASS[bytes[at] as number] as number) & VALUE) !== 0) at++;
    if (at === to) return 'more';
    if (bytes[at] !== CR) return 'bad';
    if (at + 1 === to) return 'more';
    if (bytes[at + 1] !== LF) return 'bad';
    this.#lineBytes = at + 2 - from;
    return undefined;
  }

  /** Minor version and status, as far as there are bytes; false when these are wrong already. */
  #readNumbers(bytes: Buffer, from: number, to: number): boolean {
    const at = from + PROTOCOL.length;
    const minor = at < to ? (bytes[at] as number) - 48 : 0;
    if (minor !== 0 && minor !== 1) return false;
    this.minorVersion = minor;
    if (at + 1 < to && bytes[at + 1] !== SPACE) return false;
    this.status = 0;
    for (let i = at + 2; i < to && i < from + STATUS_TO; i++) {
      const digit = (bytes[i] as number) - 48;
      // RFC 9110 §15: three digits, the first of 1 to 5.
      if (digit < 0 || digit > 9 || (i === at + 2 && (digit < 1 || digit > 5))) return false;
      this.status = 10 * this.status + digit;
    }
    return true;
  }

  /**
   * RFC 9110 §15.2: no content, so no framing either (RFC 9112 §6.1). A 101 answers an Upgrade, which is not asked for on this path;
   * HTTP/1.0 has no 1xx; and a connection that closes would take the final response with it.
   */
  #readInterim(): ResponseVerdict {
    this.framing = 'none';
    this.contentLength = -1;
    if (this.status === 101 || this.minorVersion === 0 || !this.keepAlive) return 'bad';
    return (this.fields.seen & FRAMING_BITS) === 0 ? 'interim' : 'bad';
  }

  /** RFC 9112 §6.3, with everything ambiguous bad. */
  #readFraming(bytes: Buffer): boolean {
    const { fields } = this;
    const { seen, seenTwice } = fields;
    if ((seen & FRAMING_BITS) === FRAMING_BITS || (seenTwice & FRAMING_BITS) !== 0) return false;
    this.contentLength = -1;
    this.framing = 'close';
    const length = fields.first(CONTENT_LENGTH);
    if (length !== -1) {
      this.framing = 'length';
      // White space at an end is legal (RFC 9110 §5.5), but some parsers trim less of it than others.
      if (!fields.isTight(length)) return false;
      this.contentLength = contentLengthOf(bytes, fields.valueFrom(length), fields.valueTo(length));
      if (this.contentLength === -1) return false;
    }
    const coding = fields.first(TRANSFER_ENCODING);
    if (coding !== -1) {
      this.framing = 'chunked';
      // RFC 9112 §6.1: faulty framing in HTTP/1.0. Any other coding would have to be undone before a length is known.
      if (this.minorVersion === 0 || !fields.isTight(coding)) return false;
      if (!equalsFolded(bytes, fields.valueFrom(coding), fields.valueTo(coding), CHUNKED)) return false;
    }
    this.#leaveOutBody();
    if (this.framing === 'close') this.keepAlive = false;
    return true;
  }

  #leaveOutBody(): void {
    const { status } = this;
    if (!this.#isForHead && status !== 204 && status !== 304) return;
    // A server that announces a body where none may be could send one: after it this connection serves nobody else.
    const isAnnounced = this.framing === 'chunked' || (status === 204 && this.contentLength > 0);
    if (!this.#isForHead && isAnnounced) this.keepAlive = false;
    this.framing = 'none';
  }

  /** RFC 9112 §9.3; fields that `Connection` nominates are not copied (RFC 9110 §7.6.1). */
  #readConnection(bytes: Buffer): void {
    const { fields } = this;
    const field = fields.first(CONNECTION);
    this.keepAlive = this.minorVersion === 1;
    if (field !== -1) this.#readOptions(bytes, field);
    // What we trim, llhttp takes for a part of the value.
    if (field !== -1 && !fields.isTight(field)) this.keepAlive = false;
    // Of the time before RFC 7230. Some read it like Connection, llhttp among them; whatever it says, the connection is not used again.
    if ((fields.seen & (1 << PROXY_CONNECTION)) !== 0) this.keepAlive = false;
  }

  #readOptions(bytes: Buffer, field: number): void {
    const { fields } = this;
    const isOnce = (fields.seenTwice & (1 << CONNECTION)) === 0;
    if (isOnce && equalsFolded(bytes, fields.valueFrom(field), fields.valueTo(field), KEEP_ALIVE))
      this.keepAlive = true;
    else if (isOnce && equalsFolded(bytes, fields.valueFrom(field), fields.valueTo(field), CLOSE))
      this.keepAlive = false;
    else this.#readList();
  }

  /** The rare list: strings are made of it. */
  #readList(): void {
    const { fields } = this;
    const values: string[] = [];
    for (let i = 0; i < fields.count; i++) if (fields.kinds[i] === CONNECTION) values.push(fields.value(i));
    const options = listMembers(values);
    this.keepAlive = !options.includes('close') && (this.minorVersion === 1 || options.includes('keep-alive'));
    for (const option of options) {
      const name = Buffer.from(option, 'latin1');
      for (let i = fields.find(name); i !== -1; i = fields.find(name, i + 1)) fields.drop(i);
    }
  }
}
