/**
 * Time that a suspect has to refute, shortened by everyone who suspects it independently (Lifeguard §IV.B).
 *
 *   ms ▲ longest = 6 · least
 *      │ ╲
 *      │   ╲___          longest − (longest − least) · log(confirmations + 1) / log(2 + 1)
 *      │       ╲____ least = 4 · log10(N) · T
 *      └──┬──┬──┬──▶ confirmations        0  1  2
 */
import type { Clock, Timer } from '../core/index.ts';
import type { Health } from './health.ts';
import type { OwnTimers } from './own-timers.ts';
import type { Peer } from './roster.ts';

/** memberlist SuspicionMult and SuspicionMaxTimeoutMult. */
const LEAST_FACTOR = 4;
const LONGEST_FACTOR = 6;
/** Confirmations that make it as short as it gets: memberlist's SuspicionMult - 2. */
const CONFIRMATIONS = 2;

/** Shape: ms for `count` members after `confirmations`, of which fewer than `CONFIRMATIONS` peers could give none. */
export function suspicionMs(count: number, confirmations: number, unitMs: number): number {
  const least = LEAST_FACTOR * Math.max(1, Math.log10(count)) * unitMs;
  // The suspect and we are not to be asked.
  if (count - 2 < CONFIRMATIONS || confirmations >= CONFIRMATIONS) return least;
  const longest = LONGEST_FACTOR * least;
  return longest - ((longest - least) * Math.log(confirmations + 1)) / Math.log(CONFIRMATIONS + 1);
}

interface Suspicion {
  readonly peer: Peer;
  /** Tags; the first is the one that began it. At most 1 + CONFIRMATIONS. */
  readonly accusers: Set<number>;
  startedMs: number;
  /** No longer than this, ms; before it is widened. */
  mostMs: number;
  timer: Timer;
}

export interface SuspicionsOptions {
  readonly clock: Clock;
  readonly timers: OwnTimers;
  readonly health: Health;
  readonly unitMs: number;
  /** Members now. */
  readonly count: () => number;
  readonly onDead: (peer: Peer) => void;
}

export class Suspicions {
  readonly #options: SuspicionsOptions;
  /** At most one a member. */
  readonly #running = new Map<number, Suspicion>();

  constructor(options: SuspicionsOptions) {
    this.#options = options;
  }

  start(peer: Peer, accuser: number): void {
    this.stop(peer);
    const startedMs = this.#options.clock.now();
    const suspicion = {
      peer,
      accusers: new Set([accuser]),
      startedMs,
      mostMs: Number.POSITIVE_INFINITY,
      timer: NO_TIMER,
    };
    this.#running.set(peer.slot, suspicion);
    this.#arm(suspicion);
  }

  /** True when this accuser is new and still shortens the time: then others should hear of it. */
  confirm(peer: Peer, accuser: number): boolean {
    const suspicion = this.#running.get(peer.slot);
    if (suspicion === undefined || suspicion.accusers.has(accuser)) return false;
    if (suspicion.accusers.size > CONFIRMATIONS) return false;
    suspicion.accusers.add(accuser);
    this.#arm(suspicion);
    return true;
  }

  /** It ends at most `ms` after it began. */
  hasten(peer: Peer, ms: number): void {
    const suspicion = this.#running.get(peer.slot);
    if (suspicion === undefined) return;
    suspicion.mostMs = ms;
    this.#arm(suspicion);
  }

  stop(peer: Peer): void {
    this.#running.get(peer.slot)?.timer.cancel();
    this.#running.delete(peer.slot);
  }

  /** We stood still ourselves: every suspect gets its whole time once more. */
  restart(): void {
    for (const suspicion of this.#running.values()) {
      suspicion.startedMs = this.#options.clock.now();
      this.#arm(suspicion);
    }
  }

  #arm(suspicion: Suspicion): void {
    const { clock, timers, health, unitMs, count, onDead } = this.#options;
    suspicion.timer.cancel();
    const ms = health.widened(Math.min(suspicion.mostMs, suspicionMs(count(), suspicion.accusers.size - 1, unitMs)));
    const leftMs = Math.max(0, suspicion.startedMs + ms - clock.now());
    suspicion.timer = timers.verdict(leftMs, () => {
      this.#running.delete(suspicion.peer.slot);
      onDead(suspicion.peer);
    });
  }
}

const NO_TIMER: Timer = { cancel() {} };
