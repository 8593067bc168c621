// hot path
/** Frames on their way out: what is told on rides along, then they are sealed, counted and sent. */
import { type Clock, Writer } from '../core/index.ts';
import { Budget } from './budget.ts';
import type { Counts } from './counts.ts';
import type { Peer, Roster } from './roster.ts';
import { type Rumours, writeBelief } from './rumours.ts';
import { PAYLOAD_BYTES_MAX, type Seal } from './seal.ts';
import { DATAGRAM_BYTES_MAX, type Transport } from './transport.ts';

export interface OutboxOptions {
  readonly clock: Clock;
  readonly transport: Transport;
  readonly roster: Roster;
  readonly rumours: Rumours;
  readonly seal: Seal;
  readonly counts: Counts;
  readonly egressBytesPerSec: number;
}

export class Outbox {
  readonly #options: OutboxOptions;
  readonly #egress: Budget;
  /** One for all datagrams: a frame is begun, written and sent in one go. */
  readonly #writer = new Writer(PAYLOAD_BYTES_MAX);

  constructor(options: OutboxOptions) {
    this.#options = options;
    // A whole second at once, or a full state would wait.
    this.#egress = new Budget(options.clock, options.egressBytesPerSec);
  }

  /** Whether a frame of rows may be sent now; a refusal is counted. Rows that may be late leave half of a second's budget to the others. */
  mayDrop(isCold: boolean): boolean {
    if (this.#egress.left >= (isCold ? this.#options.egressBytesPerSec / 2 : DATAGRAM_BYTES_MAX)) return false;
    this.#options.counts.droppedFrames++;
    return true;
  }

  begin(kind: number): Writer {
    const writer = this.#writer.reset(PAYLOAD_BYTES_MAX);
    writer.u8(kind);
    return writer;
  }

  /** Our own record, for who may not know us. */
  introduce(writer: Writer): void {
    writeBelief(writer, this.#options.roster.self, this.#options.clock.now());
  }

  /** What we believe of a third. */
  mention(writer: Writer, peer: Peer): void {
    writeBelief(writer, peer, this.#options.clock.now());
  }

  /** Sends what was begun. Whoever is doubted is told first (Lifeguard §IV.C, buddy system). */
  send(peer: Peer, writer: Writer): void {
    const { clock, roster, rumours, transport, seal } = this.#options;
    if (peer.state !== 'alive') writeBelief(writer, peer, clock.now());
    rumours.write(writer, roster.count, clock.now());
    const frame = seal.seal(writer.bytes.subarray(0, writer.offset));
    this.spend(frame.length);
    transport.send(peer.address, frame);
  }

  /** Bytes that were sent on another way. */
  spend(bytes: number): void {
    this.#egress.debit(bytes);
    this.#options.counts.sentBytes += bytes;
  }
}
