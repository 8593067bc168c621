/** How frames travel: sockets in production, a simulated network under test. */

/** 1,200 B pass every link that carries IPv6 (RFC 8200 §5: 1,280) with headers to spare: no fragments, of which one lost loses all. */
export const DATAGRAM_BYTES_MAX = 1200;
/** Of one request or answer over a stream, in bytes. Larger state goes in several. */
export const STREAM_BYTES_MAX = 1024 * 1024;

export interface TransportHandlers {
  /** `from` is where it claims to come from: a hint, never an identity. */
  datagram(bytes: Uint8Array, from: string): void;
  /** Undefined: no answer, the stream is closed. */
  request(bytes: Uint8Array): Uint8Array | undefined;
}

export interface Transport {
  /** Where others reach this one: `host:port`. */
  readonly address: string;
  /** One datagram, which may be lost. At most DATAGRAM_BYTES_MAX; the bytes belong to the transport from here on. */
  send(to: string, bytes: Uint8Array): void;
  /** One request and its answer over a stream; undefined: it failed or was late. `done` is called once, never before this returns. */
  request(to: string, bytes: Uint8Array, done: (answer: Uint8Array | undefined) => void): void;
  /** Called once, by the gossip that owns the transport. */
  listen(handlers: TransportHandlers): void;
  close(): Promise<void>;
}
