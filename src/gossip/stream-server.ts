/**
 * One request and its answer a connection, each behind its length.
 *
 *   length 4 | body ≤ 1 MiB          bounds: 32 connections, 5 s from the first byte to the last
 */
import { createServer, type Server, type Socket } from 'node:net';
import type { Timers } from '../core/index.ts';
import { STREAM_BYTES_MAX } from './transport.ts';

/** Each way. 32: joins come in threes, the rest is one sync a member and half a minute. */
export const CONNECTIONS_MAX = 32;
/** Of a whole connection, ms: 1 MiB each way at 4 Mbit/s. */
export const STREAM_MS = 5000;
const LENGTH_BYTES = 4;

export type Serve = (bytes: Uint8Array) => Uint8Array | undefined;

export class StreamServer {
  readonly server: Server;
  readonly #timers: Timers;
  readonly #serve: Serve;
  /** Those that did not send all of their request yet come first to go. */
  readonly #open = new Set<Socket>();

  constructor(timers: Timers, serve: Serve) {
    this.#timers = timers;
    this.#serve = serve;
    this.server = createServer({ allowHalfOpen: true }, (socket) => this.#onConnection(socket));
  }

  close(): void {
    this.server.close();
    for (const socket of this.#open) socket.destroy();
  }

  #onConnection(socket: Socket): void {
    // The oldest one goes: 32 that stay silent shut nobody out.
    if (this.#open.size >= CONNECTIONS_MAX) this.#open.values().next().value?.destroy();
    this.#open.add(socket);
    const deadline = this.#timers.after(STREAM_MS, () => socket.destroy());
    socket.on('error', () => socket.destroy());
    socket.on('close', () => {
      this.#open.delete(socket);
      deadline.cancel();
    });
    onBody(socket, (body) => {
      const answer = this.#serve(body);
      if (answer === undefined) socket.destroy();
      else socket.end(framed(answer));
    });
  }
}

/** Calls `done` with the first whole body; what is too long, or comes behind it, ends the connection. */
export function onBody(socket: Socket, done: (body: Buffer) => void): void {
  let chunks: Buffer[] = [];
  let bytes = 0;
  socket.on('data', (chunk: Buffer) => {
    chunks.push(chunk);
    bytes += chunk.length;
    if (bytes < LENGTH_BYTES) return;
    // Kept as they came until there are enough: an announced length allocates nothing.
    if ((chunks[0] as Buffer).length < LENGTH_BYTES) chunks = [Buffer.concat(chunks)];
    const length = (chunks[0] as Buffer).readUInt32BE(0);
    if (length > STREAM_BYTES_MAX || bytes > LENGTH_BYTES + length) socket.destroy();
    else if (bytes === LENGTH_BYTES + length) done(Buffer.concat(chunks).subarray(LENGTH_BYTES));
  });
}

export function framed(body: Uint8Array): Buffer {
  const bytes = Buffer.allocUnsafe(LENGTH_BYTES + body.length);
  bytes.writeUInt32BE(body.length, 0);
  bytes.set(body, LENGTH_BYTES);
  return bytes;
}
