// hot path
/**
 * One client connection of the fast engine. It reads heads as long as they are boring, and serves one request at a time; the first
 * head that is not goes, with all bytes from its beginning on, to the general engine, and the connection with it.
 *
 *   bytes ─▶ head ─ boring ─▶ FastPassage ─▶ over ─▶ next head, or the end of the connection
 *              │                └─ what comes meanwhile, or before the last answer is with the kernel: content, then the stash (pipelined, bounded)
 *              └─ other ─▶ handed over, untouched
 */
import type { Socket } from 'node:net';
import type { MonotonicMs } from '../../core/index.ts';
import type { Reply } from '../../pipeline/index.ts';
import { LINGER_BYTES_MAX, LINGER_MS } from '../bounds.ts';
import { rescue } from '../rescue.ts';
import { ByteSocket, type ByteSocketOwner } from './byte-socket.ts';
import type { FastClient } from './fast-client.ts';
import { FastPassage } from './fast-passage.ts';
import { type Peer, peerOf } from './request-head.ts';
import { messageOf } from './response-head.ts';
import type { Slate } from './slate.ts';
import type { FastWorld } from './world.ts';

/** Pipelined bytes kept before the socket is not read any more; one read more may come on top. */
const STASH_BYTES_MAX = 64 * 1024;

const HEAD_TIMEOUT: Reply = { code: 'head-timeout', detail: 'The request did not arrive in time.' };
const UNSOUND: Reply = { code: 'malformed-request', detail: 'The request is not sound HTTP/1.1.' };

export class FastConnection implements FastClient, ByteSocketOwner {
  readonly peer: Peer;
  isLast = false;
  readonly #world: FastWorld;
  readonly #socket: Socket;
  readonly #bytes: ByteSocket;
  /** Of a head that is not whole, or of the request being served. */
  #slate: Slate | undefined;
  #passage: FastPassage | undefined;
  /** Bytes of the request's content to come. */
  #contentLeft = 0;
  #stash: Buffer | undefined;
  #stashFrom = 0;
  #isReading = false;
  /** Nothing is served any more. */
  #isOver = false;
  #lingerBytes = 0;
  /** When the head began, or the connection; 0 between requests. */
  #headSince: number;
  /** When the client last moved, or what it had sent before was read on. */
  #since: MonotonicMs;

  constructor(world: FastWorld, socket: Socket) {
    this.#world = world;
    this.#socket = socket;
    this.peer = peerOf(world, socket.remoteAddress ?? '');
    this.#since = world.clock.now();
    this.#headSince = this.#since;
    this.#bytes = new ByteSocket(socket, world.readBuffer, this);
    socket.on('end', this.#onFin).on('close', this.#onClose);
  }

  /** All that was written is with the kernel. */
  get isFlushed(): boolean {
    return this.#bytes.isFlushed;
  }

  pause(): void {
    this.#bytes.pause();
  }

  resume(): void {
    if (this.#stash === undefined || this.#stash.length < STASH_BYTES_MAX) this.#bytes.resume();
  }

  write(bytes: Buffer): void {
    this.#since = this.#world.clock.now();
    this.#world.outbox.giveBack(bytes, this.#bytes.write(bytes));
  }

  flush(end: Uint8Array | undefined): boolean {
    this.#since = this.#world.clock.now();
    return this.#world.outbox.flush(this.#bytes, end);
  }

  cut(): void {
    this.#isOver = true;
    this.#socket.resetAndDestroy();
  }

  destroy(): void {
    this.#socket.destroy();
  }

  /** Closes it between two requests: who just connected, or has begun a head, is about to get an answer. */
  closeIdle(): void {
    if (this.#passage === undefined && this.#headSince === 0 && this.isFlushed && !this.#isOver) this.destroy();
  }

  /** An answer is written, and not yet with the kernel. */
  get isTrailing(): boolean {
    return this.#passage === undefined && !this.isFlushed;
  }

  /** The sidecar stops, and waits no longer. */
  cutShort(): void {
    this.#passage?.cutShort();
  }

  onEnd(): void {
    this.#passage = undefined;
    const slate = this.#slate as Slate;
    this.#slate = undefined;
    this.#world.slates.giveBack(slate);
    this.#headSince = 0;
    if (this.#socket.destroyed) return;
    if (this.isLast) return this.#finish();
    this.#goOn();
  }

  /** The next of what was pipelined, or of what is read. Not before the last answer is with the kernel: who does not read is not served. */
  #goOn(): void {
    if (!this.isFlushed) return;
    this.#bytes.resume();
    const stash = this.#stash;
    if (this.#isReading || stash === undefined) return;
    this.#since = this.#world.clock.now();
    this.#read(stash, this.#stashFrom, stash.length);
  }

  /** Closing a socket with unread bytes resets it, and the reset may overtake the answer (RFC 9112 §9.6). */
  #finish(): void {
    this.#isOver = true;
    this.#stash = undefined;
    this.#headSince = this.#world.clock.now();
    this.#bytes.resume();
    if (this.#contentLeft === 0) this.#socket.destroySoon();
  }

  onBytes(bytes: Buffer, length: number): void {
    this.#since = this.#world.clock.now();
    this.#read(bytes, 0, length);
  }

  #read(bytes: Buffer, from: number, to: number): void {
    this.#isReading = true;
    try {
      this.#readAll(bytes, from, to);
    } catch (cause) {
      if (this.#passage === undefined) {
        this.#world.onDefect('fast', cause);
        this.destroy();
      } else this.#passage.onDefect(cause);
    }
    this.#isReading = false;
  }

  #readAll(bytes: Buffer, from: number, to: number): void {
    let at = from;
    while (at < to) {
      if (this.#contentLeft > 0) at = this.#readContent(bytes, at, to);
      else if (this.#isOver) return;
      else if (this.#passage !== undefined || !this.isFlushed) return this.#keep(bytes, at, to);
      else at = this.#slate === undefined ? this.#readHead(bytes, at, to) : this.#readMore(bytes, at, to);
    }
    if (this.#stash === bytes) this.#stash = undefined;
  }

  #readContent(bytes: Buffer, from: number, to: number): number {
    const end = Math.min(to, from + this.#contentLeft);
    this.#contentLeft -= end - from;
    if (this.#passage !== undefined) this.#passage.onRequestContent(bytes, from, end);
    else if (this.#isOver) {
      this.#lingerBytes += end - from;
      if (this.#contentLeft === 0 || this.#lingerBytes > LINGER_BYTES_MAX) {
        this.#contentLeft = 0;
        this.#socket.destroySoon();
      }
    }
    return end;
  }

  /** Says how far it read. */
  #readHead(bytes: Buffer, from: number, to: number): number {
    const slate = this.#world.slates.take();
    const verdict = slate.reader.read(bytes, from, to);
    if (verdict === 'other') {
      this.#world.slates.giveBack(slate);
      return this.#handOver(bytes, from, to);
    }
    this.#slate = slate;
    if (verdict === 'more') {
      slate.keep(bytes, from, to);
      if (this.#headSince === 0) this.#headSince = this.#since;
      return to;
    }
    const end = from + slate.reader.headBytes;
    slate.keep(bytes, from, end);
    this.#serve(slate);
    return end;
  }

  /** A head that came in pieces. */
  #readMore(bytes: Buffer, from: number, to: number): number {
    const slate = this.#slate as Slate;
    slate.keep(bytes, from, to);
    const { head, length } = slate;
    const verdict = slate.reader.resume(head, 0, length);
    if (verdict === 'more') return to;
    if (verdict === 'other') {
      this.#slate = undefined;
      this.#handOver(Buffer.from(head.subarray(0, length)), 0, length);
      this.#world.slates.giveBack(slate);
      return to;
    }
    const { headBytes } = slate.reader;
    this.#serve(slate);
    return to - (length - headBytes);
  }

  #serve(slate: Slate): void {
    const { reader } = slate;
    reader.fields.moveTo(slate.head, 0);
    this.#contentLeft = Math.max(0, reader.contentLength);
    this.isLast = !reader.keepAlive;
    this.#passage = new FastPassage(this.#world, this, slate, this.#since);
    this.#passage.start();
  }

  #keep(bytes: Buffer, from: number, to: number): void {
    if (this.#stash === bytes) this.#stashFrom = from;
    else {
      const more = bytes.subarray(from, to);
      this.#stash =
        this.#stash === undefined ? Buffer.from(more) : Buffer.concat([this.#stash.subarray(this.#stashFrom), more]);
      this.#stashFrom = 0;
    }
    if (this.#stash.length - this.#stashFrom >= STASH_BYTES_MAX) this.pause();
  }

  #handOver(bytes: Buffer, from: number, to: number): number {
    const socket = this.#socket;
    socket.off('end', this.#onFin).off('close', this.#onClose);
    const unread = Buffer.from(bytes.subarray(from, to));
    this.#bytes.release();
    this.#isOver = true;
    this.#stash = undefined;
    this.#world.handOver(socket, unread);
    return to;
  }

  onDrain(): void {
    this.#since = this.#world.clock.now();
    if (this.#passage !== undefined) this.#passage.onClientDrain();
    else if (!this.#isOver) this.#goOn();
  }

  /** As in the general engine: a client that hangs up does not wait for an answer. */
  readonly #onFin = (): void => {
    if (this.#passage !== undefined) this.destroy();
    else if (this.#slate !== undefined) this.#refuse(UNSOUND);
    else this.#socket.destroySoon();
  };

  readonly #onClose = (): void => {
    this.#isOver = true;
    this.#contentLeft = 0;
    this.#stash = undefined;
    this.#passage?.onClientGone();
  };

  /** What took too long. */
  sweep(now: number): void {
    const { headTimeoutMs, idleTimeoutMs } = this.#world.config.wire;
    if (this.#passage !== undefined) this.#passage.sweep(now, now - this.#since);
    else if (this.#isOver) {
      if (now - this.#headSince > LINGER_MS && this.#contentLeft > 0) {
        this.#contentLeft = 0;
        this.#socket.destroySoon();
      } else if (now - this.#since > idleTimeoutMs) this.destroy();
    } else if (this.#headSince > 0) {
      if (now - this.#headSince > headTimeoutMs) this.#refuse(HEAD_TIMEOUT);
    } else if (now - this.#since > idleTimeoutMs) this.destroy();
  }

  /** An answer to what never became a request, and the end. */
  #refuse(reply: Reply): void {
    this.#world.onRefused({ code: reply.code, peer: this.#socket.remoteAddress });
    const { status, headers, body } = rescue(reply, false, { date: this.#world.date() });
    this.write(messageOf(status, headers, body, { isLast: true, isForHead: false }));
    if (this.#slate !== undefined) this.#world.slates.giveBack(this.#slate);
    this.#slate = undefined;
    this.#finish();
  }
}
