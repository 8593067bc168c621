/**
 * Pings that we send for others.
 *
 *   asker ── ask 7 ──▶ we ── ping 91 ──▶ target
 *         ◀─ nack 7 ──    (after 200 ms)
 *         ◀─ relayed 7 ── ◀── ack 91 ───
 */
import type { Timer } from '../core/index.ts';
import { KIND } from './messages.ts';
import type { Outbox } from './outbox.ts';
import type { OwnTimers } from './own-timers.ts';
import type { Peer } from './roster.ts';

/** At once. 256: each member asks 3 others, of a tenth of 1,000 members at worst. */
const RELAYS_MAX = 256;
/** Without an ack: says that we are there, before the asker's deadline. */
const NACK_MS = 200;
/** After which an ack is of use to nobody. */
const KEEP_MS = 1000;

interface Relay {
  readonly asker: Peer;
  readonly askedId: number;
  readonly target: Peer;
  readonly timers: Timer[];
}

export class Relays {
  readonly #outbox: Outbox;
  readonly #timers: OwnTimers;
  readonly #waiting = new Map<number, Relay>();

  constructor({ outbox, timers }: { outbox: Outbox; timers: OwnTimers }) {
    this.#outbox = outbox;
    this.#timers = timers;
  }

  /** Waits for the ack of our own ping `id`, and returns it; undefined when too many wait. */
  add(asker: Peer, askedId: number, target: Peer, id: number): number | undefined {
    if (this.#waiting.size >= RELAYS_MAX) return undefined;
    const timers = [
      this.#timers.after(NACK_MS, () => this.answer(KIND.nack, asker, askedId)),
      this.#timers.after(KEEP_MS, () => this.#waiting.delete(id)),
    ];
    this.#waiting.set(id, { asker, askedId, target, timers });
    return id;
  }

  /** Whether the ack was one that we wait for on behalf of another. */
  onAck(sender: Peer, id: number): boolean {
    const relay = this.#waiting.get(id);
    if (relay === undefined || relay.target !== sender) return false;
    this.#waiting.delete(id);
    for (const each of relay.timers) each.cancel();
    this.answer(KIND.relayed, relay.asker, relay.askedId);
    return true;
  }

  answer(kind: number, asker: Peer, askedId: number): void {
    const writer = this.#outbox.begin(kind);
    writer.u32(askedId);
    this.#outbox.send(asker, writer);
  }
}
