// hot path
/**
 * The way into one upstream. Whoever finds room passes at once and costs two additions; else it joins the line. Two things are room: fewer
 * unanswered than the limit that is learned, and fewer open than there may be connections.
 *
 *   pass / join ─▶ [ unanswered ≤ limit ] ─ head of the answer ─▶ [ open ≤ openMax ] ─ end ─▶
 *
 * What has its answer begun is no burden that the limit is about: a stream that lasts for hours holds no place among the unanswered.
 */
import type { Clock, Timer, Timers } from '../../core/index.ts';
import type { Shed, Waiting } from './band.ts';
import { FairQueue, type QueueBounds } from './fair-queue.ts';
import { Gradient, type GradientOptions } from './gradient.ts';

/** A place in line; told once when its turn has come, or why it does not. */
export interface Ticket extends Waiting {
  settle(shed: Shed | undefined): void;
}

export interface GateOptions {
  readonly gradient: GradientOptions;
  readonly queue: QueueBounds;
  /** Requests whose answer has not ended, at once: more would wait for a connection, first come first served. */
  readonly openMax: number;
}

/** How often it is looked for who has waited too long, ms; only while somebody waits. */
const SWEEP_MS = 50;

export class Gate {
  readonly #clock: Clock;
  readonly #timers: Timers;
  readonly #openMax: number;
  readonly #gradient: Gradient;
  readonly #line: FairQueue;
  #sweeping: Timer | undefined;
  unanswered = 0;
  open = 0;

  constructor({ gradient, queue, openMax }: GateOptions, clock: Clock, timers: Timers) {
    this.#clock = clock;
    this.#timers = timers;
    this.#openMax = openMax;
    this.#gradient = new Gradient(gradient);
    this.#line = new FairQueue(queue, (waiting, why) => (waiting as Ticket).settle(why));
  }

  get limit(): number {
    return this.#gradient.limit;
  }

  get usualMs(): number {
    return this.#gradient.usualMs;
  }

  get waiting(): number {
    return this.#line.size;
  }

  waitingOf(key: string): number {
    return this.#line.waitingOf(key);
  }

  /** There is room, and nobody waits for it. */
  get isFree(): boolean {
    return this.#hasRoom() && this.#line.size === 0;
  }

  /** True when it is free: it is in then. */
  pass(): boolean {
    if (!this.isFree) return false;
    this.#enter();
    return true;
  }

  join(ticket: Ticket): void {
    this.#line.join(ticket);
    this.#serve();
    if (this.#line.size > 0) this.#sweeping ??= this.#timers.after(SWEEP_MS, this.#sweep);
  }

  /** Its client is gone. */
  leave(ticket: Ticket): void {
    this.#line.leave(ticket);
  }

  /** Its answer began now, or never will. `ms`: how long that took; 0 when it says nothing of the upstream. */
  answered(ms: number, now: number): void {
    if (ms > 0) this.#gradient.sample(ms, now, this.unanswered);
    this.unanswered--;
    this.#serve();
  }

  /** Its answer has ended. */
  ended(): void {
    this.open--;
    this.#serve();
  }

  #hasRoom(): boolean {
    return this.unanswered < this.#gradient.limit && this.open < this.#openMax;
  }

  #enter(): void {
    this.unanswered++;
    this.open++;
    this.#gradient.enter(this.unanswered);
  }

  #serve(): void {
    while (this.#line.size > 0 && this.#hasRoom()) {
      const next = this.#line.next(this.#clock.now());
      if (next === undefined) return;
      this.#enter();
      (next as Ticket).settle(undefined);
    }
  }

  readonly #sweep = (): void => {
    this.#sweeping = undefined;
    this.#line.sweep(this.#clock.now());
    if (this.#line.size > 0) this.#sweeping = this.#timers.after(SWEEP_MS, this.#sweep);
  };
}
