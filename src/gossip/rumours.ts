/**
 * What changed and is told on: each change rides on a bounded number of frames, the least told first.
 *
 *   told 0 times  [ slot 7, slot 3 ]      ─▶ a frame takes from the top; what it took moves one down
 *   told 1 time   [ slot 9 ]
 *   …             at 4·⌈log10(N+1)⌉ it ends (memberlist RetransmitMult)      bound: one rumour a member
 */

import type { Writer } from '../core/index.ts';
import { writeRecord } from './belief.ts';
import type { Peer } from './roster.ts';

/** memberlist RetransmitMult. */
const TOLD_FACTOR = 4;

/** Of a rumour on its way. */
interface Rumour {
  readonly peer: Peer;
  /** Whose suspicion it carries: each confirmation is a rumour of its own. */
  readonly accuser: number;
}

export class Rumours {
  /** By how often they were told. */
  readonly #levels: Map<number, Rumour>[] = [];

  get isEmpty(): boolean {
    return this.#levels.every((level) => level.size === 0);
  }

  /** Begins to tell what is now known of a peer, in place of what was told before. */
  add(peer: Peer, accuser: number = peer.accuser): void {
    this.remove(peer);
    this.#level(0).set(peer.slot, { peer, accuser });
  }

  remove(peer: Peer): void {
    for (const level of this.#levels) level.delete(peer.slot);
  }

  /** Writes as many records as fit; `count` members are in the cluster. */
  write(writer: Writer, count: number, nowMs: number): void {
    const timesMax = TOLD_FACTOR * Math.ceil(Math.log10(count + 1));
    const told: { rumour: Rumour; times: number }[] = [];
    for (let times = 0; times < this.#levels.length; times++) {
      for (const rumour of this.#level(times).values()) {
        if (!writeBelief(writer, rumour.peer, nowMs, rumour.accuser)) return this.#lower(told, timesMax);
        told.push({ rumour, times: times + 1 });
      }
    }
    this.#lower(told, timesMax);
  }

  #lower(told: readonly { rumour: Rumour; times: number }[], timesMax: number): void {
    for (const { rumour, times } of told) {
      this.#level(times - 1).delete(rumour.peer.slot);
      if (times < timesMax) this.#level(times).set(rumour.peer.slot, rumour);
    }
  }

  #level(times: number): Map<number, Rumour> {
    return (this.#levels[times] ??= new Map());
  }
}

/** A record of what we believe now; false when it does not fit. */
export function writeBelief(writer: Writer, peer: Peer, nowMs: number, accuser: number = peer.accuser): boolean {
  return writeRecord(writer, peer.identity, peer, accuser, nowMs - peer.endedMs);
}
