/**
 * Pings that we send for others.
 *
 *   asker ── ask 7 ──▶ we ── ping 91 ──▶ target
 *         ◀─ nack 7 ──    (after 200 ms; with the way by which we reach the target, if we know one)
 *         ◀─ relayed 7 ── ◀── ack 91 ───
 */
import type { Timer } from '../core/index.ts';
import { KIND } from './messages.ts';
import type { Outbox } from './outbox.ts';
import type { OwnTimers } from './own-timers.ts';
import type { Peer, Roster } from './roster.ts';

/** At once. 256: each member asks 3 others, of a tenth of 1,000 members at worst. */
const RELAYS_MAX = 256;
/** Without an ack: says that we are there, before the asker's deadline. */
const NACK_MS = 200;
/** After which an ack is of use to nobody. */
const KEEP_MS = 1000;
const NOBODY = '0000000000000000';

interface Relay {
  readonly asker: Peer;
  readonly askedId: number;
  readonly target: Peer;
  readonly timers: Timer[];
}

export class Relays {
  readonly #roster: Roster;
  readonly #outbox: Outbox;
  readonly #timers: OwnTimers;
  readonly #waiting = new Map<number, Relay>();

  constructor({ roster, outbox, timers }: { roster: Roster; outbox: Outbox; timers: OwnTimers }) {
    this.#roster = roster;
    this.#outbox = outbox;
    this.#timers = timers;
  }

  /** Waits for the ack of our own ping `id`, and returns it; undefined when too many wait. */
  add(asker: Peer, askedId: number, target: Peer, id: number): number | undefined {
    if (this.#waiting.size >= RELAYS_MAX) return undefined;
    const timers = [
      this.#timers.after(NACK_MS, () => this.nack(asker, askedId, target)),
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
    const writer = this.#outbox.begin(KIND.relayed);
    writer.u32(relay.askedId);
    // The asker may have missed how the target refuted.
    this.#outbox.mention(writer, sender);
    this.#outbox.send(relay.asker, writer);
    return true;
  }

  /** We are there, and got no answer; perhaps we know who does. */
  nack(asker: Peer, askedId: number, target: Peer | undefined): void {
    const way = target?.via === undefined ? undefined : this.#roster.at(target.via);
    const writer = this.#outbox.begin(KIND.nack);
    writer.u32(askedId);
    writer.hex(way?.incarnation ?? NOBODY);
    this.#outbox.send(asker, writer);
  }
}
