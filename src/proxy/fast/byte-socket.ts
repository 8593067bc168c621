// hot path
/**
 * A socket without Node's streams on its bytes: they are read from its handle into a buffer that all sockets share, and written to it
 * directly. Its beginning, its end and its errors stay the socket's own. Node's insides are used, those of the one Node that Reeve
 * brings: docs/decisions/0010-byte-sockets.md.
 *
 *   handle ── bytes ────────▶ onBytes            write ── what the kernel takes ─▶ handle
 *          └─ end, errors ──▶ the socket               └─ what it does not yet is counted until it did ─▶ onDrain
 */
import { Socket, type SocketConstructorOpts } from 'node:net';
import { holdClock, releaseClock } from '../../core/index.ts';

interface WriteRequest {
  oncomplete: (status: number) => void;
  /** Keeps the bytes alive until they are written. */
  buffer: Uint8Array | undefined;
}

interface StreamBinding {
  readonly WriteWrap: new () => WriteRequest;
  /** What the last call of a handle said, by the indexes below. */
  readonly streamBaseState: Int32Array;
  readonly kReadBytesOrError: number;
  readonly kArrayBufferOffset: number;
  readonly kLastWriteWasAsync: number;
}

interface Handle {
  onread: (bytes?: ArrayBuffer) => void;
  reading: boolean;
  readStart(): number;
  readStop(): number;
  useUserBuffer(buffer: Uint8Array): void;
  /** 0, or what went wrong. */
  writeBuffer(request: WriteRequest, bytes: Uint8Array): number;
}

interface TcpBinding {
  readonly TCP: new (kind: number) => Handle;
  readonly constants: { readonly SOCKET: number };
}

/** Undefined where Node does not give it: under its permission model, or in another Node than ours. */
function bindingOf<B>(name: string): B | undefined {
  if (!process.versions.node.startsWith('24.')) return undefined;
  try {
    return (process as unknown as { binding(name: string): B }).binding(name);
  } catch {
    return undefined;
  }
}

const binding = bindingOf<StreamBinding>('stream_wrap');
const { WriteWrap, streamBaseState, kReadBytesOrError, kArrayBufferOffset, kLastWriteWasAsync } = (binding ??
  {}) as StreamBinding;
const tcp = bindingOf<TcpBinding>('tcp_wrap');

/** Without them there is no fast engine. */
export const hasByteSockets: boolean = binding !== undefined && tcp !== undefined;

/** A socket as a listener gives it out, which never had a peer and is no file of the process. To be destroyed, like any. */
export function unconnected(): Socket {
  const { TCP, constants } = tcp as TcpBinding;
  const options = { handle: new TCP(constants.SOCKET), manualStart: true };
  return new Socket(options as unknown as SocketConstructorOpts);
}

/** Of a shared buffer: what the kernel is asked for at once. */
export const READ_BYTES: number = 64 * 1024;

export interface ByteSocketOwner {
  /** The bytes are in the shared buffer, from its beginning on, and only until this returns. */
  onBytes(bytes: Buffer, length: number): void;
  /** All that was written is with the kernel. */
  onDrain(): void;
}

export class ByteSocket {
  readonly #socket: Socket;
  readonly #handle: Handle;
  readonly #buffer: Buffer;
  /** Node's own reader, for ends and errors, and for everything once the socket is a stream again. */
  readonly #readAsStream: (bytes?: ArrayBuffer) => void;
  #owner: ByteSocketOwner | undefined;
  /** Used for every write that the kernel takes at once. */
  #request: WriteRequest;
  /** Writes that the kernel has not taken yet. */
  #pending = 0;
  #isPaused = false;

  /** The socket is connected, and nothing was read of it. */
  constructor(socket: Socket, buffer: Buffer, owner: ByteSocketOwner) {
    this.#socket = socket;
    this.#buffer = buffer;
    this.#owner = owner;
    const handle = (socket as unknown as { _handle: Handle })._handle;
    this.#handle = handle;
    this.#readAsStream = handle.onread;
    this.#request = this.#newRequest();
    handle.useUserBuffer(buffer);
    handle.onread = () => {
      holdClock();
      try {
        this.#onRead();
      } finally {
        releaseClock();
      }
    };
  }

  /** All that was written is with the kernel. */
  get isFlushed(): boolean {
    return this.#pending === 0;
  }

  /** False when no more should come before `onDrain`: then the bytes are the socket's until that. Of a socket that is destroyed they are nobody's. */
  write(bytes: Buffer): boolean {
    const request = this.#request;
    const error = this.#handle.writeBuffer(request, bytes);
    if (error !== 0) {
      this.#socket.destroy();
      return true;
    }
    if (streamBaseState[kLastWriteWasAsync] === 0) return this.#pending === 0;
    request.buffer = bytes;
    this.#request = this.#newRequest();
    this.#pending++;
    return false;
  }

  pause(): void {
    if (this.#isPaused || this.#socket.destroyed) return;
    this.#isPaused = true;
    this.#handle.reading = false;
    this.#handle.readStop();
  }

  resume(): void {
    if (!this.#isPaused || this.#socket.destroyed) return;
    this.#isPaused = false;
    this.#handle.reading = true;
    this.#handle.readStart();
  }

  /** It is a stream like any other from now on. */
  release(): void {
    this.#owner = undefined;
    this.resume();
  }

  #newRequest(): WriteRequest {
    const request = new WriteWrap();
    request.oncomplete = this.#onWritten;
    return request;
  }

  readonly #onWritten = (status: number): void => {
    this.#pending--;
    if (this.#socket.destroyed) return;
    if (status < 0) this.#socket.destroy();
    else if (this.#pending === 0) this.#owner?.onDrain();
  };

  #onRead(): void {
    const length = streamBaseState[kReadBytesOrError] as number;
    if (length > 0 && this.#owner !== undefined) {
      // Never of a socket that is destroyed: Node takes `onread` from its handle.
      this.#owner.onBytes(this.#buffer, length);
      return;
    }
    if (length <= 0) return this.#readAsStream.call(this.#handle);
    streamBaseState[kArrayBufferOffset] = 0;
    const { buffer, byteOffset } = this.#buffer;
    this.#readAsStream.call(this.#handle, (buffer as ArrayBuffer).slice(byteOffset, byteOffset + length));
  }
}
