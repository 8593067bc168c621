/**
 * Strict limits: no more than rate and burst is admitted by all sidecars together, whatever fails. Nothing is estimated: a limit is cut
 * into parts, each of which is one sidecar's alone for as long as it may be alive.
 *
 *   parts = as many as there are members, or whole units of burst if these are fewer       each: rate ÷ parts, burst ÷ parts
 *   whose = those that come first by a hash of limit and incarnation (rendezvous)           the others admit nothing
 *
 * Why no part is held twice. Who cannot be reached keeps its part: members count until they said that they leave, until the seeds do not
 * list their address any more, or another process has it. So both sides of a cut cut the limit alike. A newcomer would make parts smaller
 * at the others and its own at once: it waits until they must have heard of it, and its bucket begins empty then. A part that
 * grows, because somebody left, grows by an empty piece, and what was spent before drained at the rate it had then. No time is compared but
 * with one's own.
 */
import type { Clock } from '../../core/index.ts';
import type { Rate } from '../gcra.ts';

/** A newcomer that reaches all who are expected is known to them by then: gossip takes a fraction of a second, ms. */
const KNOWN_MS = 5000;
/** Otherwise they see its address among the seeds by then, which are looked at each 30 s, ms. */
const LISTED_MS = 35_000;

/** Who may admit something, this sidecar included. */
export interface Electorate {
  /** Members that may be alive, at least as many as the seeds list. */
  readonly expected: number;
  /** Whether all of them can be reached. */
  readonly isComplete: boolean;
  /** The others that are known, in order. */
  readonly incarnations: readonly string[];
  /** Since when it is so, ms, and the number of changes until then. */
  readonly since: number;
  readonly changes: number;
}

/** A burst of 0: no part is ours. */
export interface StrictPart extends Rate {
  /** Since when it is, ms. */
  readonly since: number;
  /** How often parts were cut anew until now: who has the part of the one before knows what it drained at until `since`, and nobody else does. */
  readonly cuts: number;
}

/**
 * Why a sidecar has its part of a limit, or none: `held`, it is its own; `waits`, it is new and the others may not know it yet;
 * `others`, there are fewer parts than sidecars and they are others'; `leaves`, it is the others' from now on.
 */
export type Standing = 'held' | 'waits' | 'others' | 'leaves';

export class StrictParts {
  readonly #clock: Clock;
  readonly #startedAt: number;
  #isLeaving = false;
  readonly #part = { perSec: 0, burst: 0, since: 0, cuts: 0 };
  #electorate: Electorate | undefined;
  #cuts = 0;
  #cutAt = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#startedAt = clock.now();
  }

  /** Its part is the others' from now on: nothing is admitted any more. */
  leave(): void {
    this.#isLeaving = true;
  }

  /** Each turn, so that it is known when parts were cut anew, whoever asks for one then. */
  look(electorate: Electorate): void {
    if (electorate === this.#electorate) return;
    if (this.#electorate === undefined || !isSameCut(this.#electorate, electorate)) {
      this.#cuts++;
      this.#cutAt = electorate.since;
    }
    this.#electorate = electorate;
  }

  /** The part of a limit that is this sidecar's. Valid until the next call. */
  take(limit: string, { perSec, burst }: Rate, self: string, electorate: Electorate): StrictPart {
    this.look(electorate);
    const parts = partsOf(burst, electorate);
    this.#part.perSec = perSec / parts;
    this.#part.burst = this.standing(limit, burst, self, electorate) === 'held' ? burst / parts : 0;
    this.#part.since = Math.max(this.#cutAt, this.#knownAt(electorate));
    this.#part.cuts = this.#cuts;
    return this.#part;
  }

  /** Of this sidecar. */
  standing(limit: string, burst: number, self: string, electorate: Electorate): Standing {
    if (this.#isLeaving) return 'leaves';
    if (this.#clock.now() < this.#knownAt(electorate)) return 'waits';
    return hasPart(limit, burst, self, electorate, electorate.incarnations) ? 'held' : 'others';
  }

  #knownAt({ isComplete }: Electorate): number {
    return this.#startedAt + (isComplete ? KNOWN_MS : LISTED_MS);
  }
}

export function partsOf(burst: number, { expected }: Electorate): number {
  return Math.min(expected, Math.max(1, Math.floor(burst)));
}

/** Whether a part is its own, once all know it. `others`: all that are known but itself. */
export function hasPart(
  limit: string,
  burst: number,
  incarnation: string,
  electorate: Electorate,
  others: readonly string[],
): boolean {
  const parts = partsOf(burst, electorate);
  return parts === electorate.expected || rank(limit, incarnation, electorate.expected, others) < parts;
}

/** Whether both cut every limit alike. */
function isSameCut(one: Electorate, other: Electorate): boolean {
  return one.expected === other.expected && one.incarnations.join() === other.incarnations.join();
}

/** How many come before. Who is listed and not known yet may be any of them. */
function rank(limit: string, incarnation: string, expected: number, others: readonly string[]): number {
  const own = weight(limit, incarnation);
  // Of two with one hash neither goes first.
  const before = others.filter((each) => weight(limit, each) >= own);
  return before.length + Math.max(0, expected - 1 - others.length);
}

/** FNV-1a, 32 bits, mixed once more (murmur3): near names must not stay near. */
function weight(limit: string, incarnation: string): number {
  let hash = 0x811c9dc5;
  for (const text of [limit, incarnation])
    for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}
