// hot path
/**
 * Frames that only holders of the key can make, and that count once.
 *
 *   version 1 | keyId 1 | incarnation 8 | sequence 6 | AES-256-GCM(payload) | tag 16
 *   └──────────── header, authenticated with the cluster's label ─┘
 *
 * The key of a frame is HKDF-SHA256(ring key, salt = incarnation, info = cluster) and the nonce is the sequence number, which never repeats within
 * an incarnation: no two frames share key and nonce, without any random number (NIST SP 800-38D §8.2.1). An answer over a stream also
 * authenticates the header of its request, so that no recorded answer fits another one.
 *
 * Cheap refusals come first: length, version, key id, replay; then the budgets, and only then is anything computed.
 */
import { createCipheriv, createDecipheriv, createHash, type DecipherGCM, hkdfSync } from 'node:crypto';
import { BoundedMap, type Clock } from '../core/index.ts';
import { Budget } from './budget.ts';
import type { Keyring, RingKey } from './keyring.ts';
import { ReplayWindow } from './replay-window.ts';
import { MEMBERS_MAX } from './settings.ts';
import { DATAGRAM_BYTES_MAX, STREAM_BYTES_MAX } from './transport.ts';

/** Why a frame was not taken. */
export const REFUSALS = [
  /** Shorter than a frame can be, or longer than it may. */
  'size',
  /** Of another version. */
  'version',
  /** By a key we do not have. */
  'key',
  /** Our own: somebody sent it back. */
  'own',
  /** Seen, or older than the window. */
  'replayed',
  /** By somebody we do not know, and the budget for those is spent. */
  'unknown',
  /** The budget for frames that do not open is spent. */
  'throttled',
  /** Does not open: another key, another cluster, or forged. */
  'forged',
  /** Opened, but says nothing sensible. */
  'malformed',
] as const;
export type Refusal = (typeof REFUSALS)[number];

export interface Opened {
  readonly incarnation: string;
  readonly payload: Buffer;
}

export interface SealOptions {
  readonly clock: Clock;
  readonly cluster: string;
  readonly incarnation: string;
  /** Undefined: frames are readable and carry a short hash of the cluster in place of the tag. For simulators. */
  readonly keyring: Keyring | undefined;
  /** The address of a member; undefined: nobody we know. */
  readonly addressOf: (incarnation: string) => string | undefined;
  /** `version`: that of the frame, where it is the reason. */
  readonly onRefused: (reason: Refusal, version?: number) => void;
}

/**
 * Of what is in a frame, whatever its kind. 2: streams carry two lanes of rows (1 had one, and would read the second as something else), and
 * wills of a next life stand among the rows of quotas. It is raised whenever a frame or a row is read in another way: who has another version
 * refuses all of it before anything is read.
 */
export const VERSION = 2;
const PLAIN_VERSION = 0;
const HEADER_BYTES = 16;
const TAG_BYTES = 16;
const CIPHER = 'aes-256-gcm';
export const PAYLOAD_BYTES_MAX: number = DATAGRAM_BYTES_MAX - HEADER_BYTES - TAG_BYTES;
export const STREAM_PAYLOAD_BYTES_MAX: number = STREAM_BYTES_MAX - HEADER_BYTES - TAG_BYTES;
/** Frames a second that may fail to open, in units of one datagram: 2,000 × 10 µs are 2 % of a core. */
const FAILURES_PER_SEC = 2000;
/** The part that is left for frames that come from where their sender lives: who does not spoof addresses cannot shut members out. */
const FAILURES_RESERVED = 1000;
/** Datagrams a second of nobody we know that are opened: who joins does so by a stream, and is known before its first datagram, mostly. */
const STRANGERS_PER_SEC = 20;
const NOTHING = Buffer.alloc(0);

interface Sender {
  readonly window: ReplayWindow;
  /** By ring key; goes with it. */
  readonly keys: WeakMap<RingKey, Buffer>;
}

export class Seal {
  readonly #options: SealOptions;
  readonly #cluster: Buffer;
  readonly #clusterHash: Buffer;
  readonly #failures: Budget;
  readonly #strangers: Budget;
  /** Only of those who opened once: whoever forges cannot drive others out. */
  readonly #senders = new BoundedMap<string, Sender>(MEMBERS_MAX);
  readonly #self: Sender = { window: new ReplayWindow(), keys: new WeakMap() };
  readonly #nonce = Buffer.alloc(12);
  #sequence = 0;

  constructor(options: SealOptions) {
    this.#options = options;
    this.#cluster = Buffer.from(options.cluster);
    this.#clusterHash = createHash('sha256').update(this.#cluster).digest().subarray(0, 4);
    this.#failures = new Budget(options.clock, FAILURES_PER_SEC);
    this.#strangers = new Budget(options.clock, STRANGERS_PER_SEC);
  }

  /** A frame of its own. `request`: the frame that it answers. */
  seal(payload: Uint8Array, request?: Uint8Array): Buffer {
    const { keyring, incarnation } = this.#options;
    const frame = Buffer.allocUnsafe(HEADER_BYTES + payload.length + (keyring === undefined ? 4 : TAG_BYTES));
    frame[0] = keyring === undefined ? PLAIN_VERSION : VERSION;
    frame[1] = keyring?.first.id ?? 0;
    frame.write(incarnation, 2, 8, 'hex');
    frame.writeUIntBE(++this.#sequence, 10, 6);
    if (keyring === undefined) {
      frame.set(payload, HEADER_BYTES);
      frame.set(this.#clusterHash, HEADER_BYTES + payload.length);
      return frame;
    }
    const cipher = createCipheriv(
      CIPHER,
      keyOf(this.#self, keyring.first, incarnation, this.#cluster),
      this.#nonceOf(frame),
    );
    cipher.setAAD(this.#authenticated(frame, request));
    frame.set(cipher.update(payload), HEADER_BYTES);
    cipher.final();
    frame.set(cipher.getAuthTag(), HEADER_BYTES + payload.length);
    return frame;
  }

  /** The payload of a datagram, or undefined, counted. */
  openDatagram(bytes: Uint8Array, from: string): Opened | undefined {
    if (bytes.length > DATAGRAM_BYTES_MAX) return this.#refuse('size');
    const frame = asBuffer(bytes);
    const reason = this.#precheck(frame);
    if (reason !== undefined) return this.#refuse(reason, frame);
    const incarnation = incarnationOf(frame);
    if (incarnation === this.#options.incarnation) return this.#refuse('own');
    const address = this.#options.addressOf(incarnation);
    const isKnown = address !== undefined || this.#senders.peek(incarnation) !== undefined;
    if (!this.#isFresh(incarnation, frame)) return this.#refuse('replayed');
    if (this.#failures.left < (address === from ? 1 : 1 + FAILURES_RESERVED)) return this.#refuse('throttled');
    if (!isKnown && !this.#strangers.take(1)) return this.#refuse('unknown');
    return this.#open(frame, incarnation, undefined);
  }

  /** The same of a request over a stream, whose sender need not be known yet, and may be ourselves. */
  openRequest(bytes: Uint8Array): Opened | undefined {
    return this.#openStream(bytes, undefined);
  }

  /** The same of the answer to a request of ours. */
  openAnswer(bytes: Uint8Array, request: Uint8Array): Opened | undefined {
    return this.#openStream(bytes, request);
  }

  #openStream(bytes: Uint8Array, request: Uint8Array | undefined): Opened | undefined {
    if (bytes.length > STREAM_BYTES_MAX) return this.#refuse('size');
    const frame = asBuffer(bytes);
    const reason = this.#precheck(frame);
    if (reason !== undefined) return this.#refuse(reason, frame);
    const incarnation = incarnationOf(frame);
    if (!this.#isFresh(incarnation, frame)) return this.#refuse('replayed');
    if (this.#failures.left < 1) return this.#refuse('throttled');
    return this.#open(frame, incarnation, request);
  }

  #precheck(frame: Buffer): Refusal | undefined {
    const { keyring } = this.#options;
    if (frame.length <= HEADER_BYTES + (keyring === undefined ? 4 : TAG_BYTES)) return 'size';
    if (frame[0] !== (keyring === undefined ? PLAIN_VERSION : VERSION)) return 'version';
    return keyring !== undefined && keyring.of(frame[1] as number).length === 0 ? 'key' : undefined;
  }

  #isFresh(incarnation: string, frame: Buffer): boolean {
    return this.#senders.peek(incarnation)?.window.isFresh(sequenceOf(frame)) ?? true;
  }

  #open(frame: Buffer, incarnation: string, request: Uint8Array | undefined): Opened | undefined {
    const { keyring } = this.#options;
    const isOwn = incarnation === this.#options.incarnation;
    const sender = isOwn ? this.#self : (this.#senders.get(incarnation) ?? newSender());
    const payload =
      keyring === undefined ? this.#openPlain(frame) : this.#decrypt(frame, incarnation, sender, keyring, request);
    if (payload === undefined) {
      this.#failures.debit(Math.ceil(frame.length / DATAGRAM_BYTES_MAX));
      return this.#refuse('forged');
    }
    if (!isOwn) {
      this.#senders.set(incarnation, sender);
      sender.window.mark(sequenceOf(frame));
    }
    return { incarnation, payload };
  }

  #openPlain(frame: Buffer): Buffer | undefined {
    const end = frame.length - 4;
    return this.#clusterHash.equals(frame.subarray(end)) ? frame.subarray(HEADER_BYTES, end) : undefined;
  }

  #decrypt(
    frame: Buffer,
    incarnation: string,
    sender: Sender,
    keyring: Keyring,
    request: Uint8Array | undefined,
  ): Buffer | undefined {
    const end = frame.length - TAG_BYTES;
    for (const key of keyring.of(frame[1] as number)) {
      const derived = keyOf(sender, key, incarnation, this.#cluster);
      const decipher = createDecipheriv(CIPHER, derived, this.#nonceOf(frame), { authTagLength: TAG_BYTES });
      decipher.setAAD(this.#authenticated(frame, request));
      decipher.setAuthTag(frame.subarray(end));
      const payload = decipher.update(frame.subarray(HEADER_BYTES, end));
      if (isWhole(decipher)) return payload;
      // Another key of the same id may fit.
    }
    return undefined;
  }

  #authenticated(frame: Buffer, request: Uint8Array | undefined): Buffer {
    const answered = request === undefined ? NOTHING : request.subarray(0, HEADER_BYTES);
    return Buffer.concat([frame.subarray(0, HEADER_BYTES), answered, this.#cluster]);
  }

  #nonceOf(frame: Buffer): Buffer {
    frame.copy(this.#nonce, 6, 10, HEADER_BYTES);
    return this.#nonce;
  }

  #refuse(reason: Refusal, frame?: Buffer): undefined {
    if (reason === 'version') this.#options.onRefused(reason, frame?.[0]);
    else this.#options.onRefused(reason);
    return undefined;
  }
}

/** Whether the tag fits. Nobody reads the stack of the error that says it does not, and to take one costs twice as much as all else of a forged frame. */
function isWhole(decipher: DecipherGCM): boolean {
  const { stackTraceLimit } = Error;
  Error.stackTraceLimit = 0;
  let fits = true;
  try {
    decipher.final();
  } catch {
    fits = false;
  }
  Error.stackTraceLimit = stackTraceLimit;
  return fits;
}

function newSender(): Sender {
  return { window: new ReplayWindow(), keys: new WeakMap() };
}

function keyOf(sender: Sender, key: RingKey, incarnation: string, cluster: Buffer): Buffer {
  let derived = sender.keys.get(key);
  if (derived === undefined) {
    derived = Buffer.from(hkdfSync('sha256', key.bytes, Buffer.from(incarnation, 'hex'), cluster, 32));
    sender.keys.set(key, derived);
  }
  return derived;
}

function incarnationOf(frame: Buffer): string {
  return frame.toString('hex', 2, 10);
}

function sequenceOf(frame: Buffer): number {
  return frame.readUIntBE(10, 6);
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
}
