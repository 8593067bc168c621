// hot path
/**
 * One connection to an upstream: one exchange at a time is on it. Reads its answer from the buffer that all connections share, so
 * whatever is to outlast a read is copied.
 *
 *   connecting ─▶ idle ⇄ head ─▶ content ─▶ idle        any byte or end while idle: destroyed (a server that speaks unasked
 *        │                 │         │                   would answer somebody else's next request)
 *        └─────────────────┴─────────┴─▶ over            bytes behind the end of an answer: destroyed
 */
import { connect, type Socket } from 'node:net';
import { ChunkedReader, type ResponseReader } from '../../wire/index.ts';
import type { Upstream, UpstreamError } from '../upstreams.ts';
import { ByteSocket, type ByteSocketOwner } from './byte-socket.ts';
import type { Answering, Carrier, CarrierHome } from './carrier.ts';

type State = 'connecting' | 'idle' | 'head' | 'length' | 'chunked' | 'close' | 'over';

export class UpstreamConnection implements Carrier, ByteSocketOwner {
  readonly #pool: CarrierHome;
  readonly #socket: Socket;
  /** From the moment it is connected. */
  #bytes: ByteSocket | undefined;
  #state: State = 'connecting';
  #answering: Answering | undefined;
  #reader: ResponseReader | undefined;
  #chunks: ChunkedReader | undefined;
  /** The head so far, when it came in pieces. */
  #head: Buffer | undefined;
  #contentLeft = 0;
  #isForHead = false;
  /** All of the request is written: only then may another follow. */
  #isRequestWhole = false;
  #isKept = false;
  /** Not a byte of an answer was seen. */
  #isUntouched = true;
  /** It carried a request before this one. */
  #isReused = false;
  since: number;

  /** It connects; `answering` waits for that. */
  constructor(pool: CarrierHome, answering: Answering | undefined) {
    this.#pool = pool;
    this.#answering = answering;
    this.since = pool.now();
    this.#socket = connect({ ...dialling(pool.address), noDelay: true });
    this.#socket.on('connect', () => this.#onConnect());
    this.#socket.on('end', () => this.#onEnd());
    this.#socket.on('error', () => this.#broke());
    this.#socket.on('close', () => this.#broke());
  }

  get isIdle(): boolean {
    return this.#state === 'idle';
  }

  get isConnecting(): boolean {
    return this.#state === 'connecting';
  }

  /** Everything written was taken by the kernel: nobody's bytes are waited for. */
  get isFlushed(): boolean {
    return this.#bytes?.isFlushed !== false;
  }

  begin(answering: Answering, bytes: Buffer): void {
    this.#answering = answering;
    this.#isForHead = answering.isForHead;
    this.#isRequestWhole = answering.isWhole;
    this.#isUntouched = true;
    this.#state = 'head';
    this.since = this.#pool.now();
    this.#bytes?.write(bytes);
  }

  write(bytes: Buffer, isLast: boolean): boolean {
    if (isLast) this.#isRequestWhole = true;
    this.since = this.#pool.now();
    return this.#bytes?.write(bytes) !== false;
  }

  pause(): void {
    this.#bytes?.pause();
  }

  resume(): void {
    this.since = this.#pool.now();
    this.#bytes?.resume();
  }

  destroy(): void {
    this.#answering = undefined;
    this.#state = 'over';
    this.#freeReader();
    this.#pool.forget(this);
    this.#socket.destroy();
  }

  timeOut(): void {
    this.#fail(this.#state === 'connecting' ? 'connect' : 'timeout');
  }

  #onConnect(): void {
    this.#bytes = new ByteSocket(this.#socket, this.#pool.buffer, this);
    this.#state = 'idle';
    this.since = this.#pool.now();
    const answering = this.#answering as Answering;
    this.#answering = undefined;
    if (answering.isGone) return this.#release();
    this.#guard(answering, () => answering.onConnection(this));
  }

  #onEnd(): void {
    if (this.#state !== 'close') return this.#broke();
    this.#answering?.onBegin(0);
    this.#finish(0, 0);
  }

  /** By the other side, or by the network. */
  #broke(): void {
    if (this.#state === 'over') return;
    if (this.#answering === undefined) this.destroy();
    else this.#fail(this.#state === 'connecting' ? 'connect' : 'reset');
  }

  #fail(error: UpstreamError): void {
    const answering = this.#answering;
    // Closed as idle, most likely, when this request came.
    const reach = this.#isUntouched && this.#isReused && error === 'reset' ? 'unanswered' : 'final';
    this.destroy();
    if (answering !== undefined) this.#guard(answering, () => answering.onFail(error, reach));
  }

  #guard(answering: Answering, run: () => void): void {
    try {
      run();
    } catch (cause) {
      answering.onDefect(cause);
    }
  }

  onDrain(): void {
    this.#answering?.onDrain();
  }

  onBytes(bytes: Buffer, to: number): void {
    const answering = this.#answering;
    // Nobody asked for them.
    if (answering === undefined) return this.destroy();
    this.since = this.#pool.now();
    this.#isUntouched = false;
    try {
      if (this.#state === 'head') this.#readHead(answering, bytes, to);
      else {
        answering.onBegin(to);
        this.#readContent(answering, bytes, 0, to);
      }
    } catch (cause) {
      this.destroy();
      answering.onDefect(cause);
    }
  }

  #readHead(answering: Answering, bytes: Buffer, to: number): void {
    const isFirst = this.#reader === undefined;
    this.#reader ??= this.#pool.takeReader();
    const reader = this.#reader;
    if (this.#head !== undefined) this.#head = Buffer.concat([this.#head, bytes.subarray(0, to)]);
    const all = this.#head ?? bytes;
    const end = this.#head?.length ?? to;
    let at = 0;
    let verdict = isFirst ? reader.read(all, 0, end, this.#isForHead) : reader.resume(all, 0, end);
    while (verdict === 'interim') {
      answering.onInterim(reader);
      at += reader.headBytes;
      verdict = reader.read(all, at, end, this.#isForHead);
    }
    if (verdict === 'bad') return this.#fail('malformed');
    if (verdict === 'more') {
      this.#head = Buffer.from(all.subarray(at, end));
      return;
    }
    this.#head = undefined;
    this.#beginContent(answering, reader, all, at + reader.headBytes, end);
  }

  #beginContent(answering: Answering, reader: ResponseReader, bytes: Buffer, from: number, to: number): void {
    this.#isKept = reader.keepAlive;
    const { framing } = reader;
    this.#contentLeft = framing === 'length' ? reader.contentLength : 0;
    this.#state = framing === 'none' ? 'length' : framing;
    if (framing === 'chunked') {
      this.#chunks ??= new ChunkedReader();
      this.#chunks.begin();
    }
    answering.onHead(reader, to - from);
    this.#freeReader();
    // Whoever was told may have ended it.
    if (this.#answering === answering) this.#readContent(answering, bytes, from, to);
  }

  #readContent(answering: Answering, bytes: Buffer, from: number, to: number): void {
    if (this.#state === 'chunked') return this.#readChunks(answering, bytes, from, to);
    const length = this.#state === 'close' ? to - from : Math.min(this.#contentLeft, to - from);
    if (length > 0) answering.onContent(bytes, from, from + length);
    this.#contentLeft -= length;
    if (this.#state === 'close' || this.#contentLeft > 0) answering.onRead();
    else this.#finish(from + length, to);
  }

  #readChunks(answering: Answering, bytes: Buffer, from: number, to: number): void {
    const chunks = this.#chunks as ChunkedReader;
    chunks.at = from;
    let event = chunks.next(bytes, to);
    while (event === 'data') {
      answering.onContent(bytes, chunks.dataFrom, chunks.dataTo);
      event = chunks.next(bytes, to);
    }
    if (event === 'end') return this.#finish(chunks.at, to);
    answering.onRead();
    if (event === 'bad' && this.#answering === answering) this.#fail('malformed');
  }

  /** The answer ended at `at`; bytes behind it would be taken for the next one's. */
  #finish(at: number, to: number): void {
    const answering = this.#answering as Answering;
    const trailers = this.#state === 'chunked' ? this.#chunks?.trailers : undefined;
    this.#answering = undefined;
    this.#isReused = true;
    if (this.#isKept && this.#isRequestWhole && at === to && this.isFlushed) this.#release();
    else this.destroy();
    try {
      answering.onEnd(trailers);
    } catch (cause) {
      answering.onDefect(cause);
    }
  }

  #release(): void {
    this.#state = 'idle';
    this.#answering = undefined;
    this.#bytes?.resume();
    this.#pool.release(this);
  }

  #freeReader(): void {
    if (this.#reader !== undefined) this.#pool.giveReader(this.#reader);
    this.#reader = undefined;
    this.#head = undefined;
  }
}

function dialling(address: Upstream['address']): { host: string; port: number } | { path: string } {
  return 'socketPath' in address ? { path: address.socketPath } : address;
}
