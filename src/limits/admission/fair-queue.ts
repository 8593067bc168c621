/**
 * The line before an upstream: critical requests before all others, the tenants within each by turns (band.ts), and the bounds of the whole.
 * What is too much goes from the end of the longest queue, so that a flood costs the flooder; who has waited too long is refused.
 */
import { Band, type Shed, type Standing, sizeOf, type TenantQueue, type Waiting } from './band.ts';

export interface QueueBounds {
  /** Who wait of one tenant. */
  readonly ofTenantMax: number;
  /** Who wait of all. */
  readonly max: number;
  /** What may be held in memory for all who wait. */
  readonly bytesMax: number;
  readonly standing: Standing;
}

export class FairQueue {
  readonly #critical: Band;
  readonly #others: Band;
  readonly #bounds: QueueBounds;
  readonly #shed: (waiting: Waiting, why: Shed) => void;
  #bytes = 0;

  /** `shed` is told of everybody who goes without a turn, but not of who leaves. */
  constructor(bounds: QueueBounds, shed: (waiting: Waiting, why: Shed) => void) {
    this.#bounds = bounds;
    this.#shed = shed;
    const stale = (waiting: Waiting, why: Shed): void => {
      this.#bytes -= waiting.bytes;
      shed(waiting, why);
    };
    this.#critical = new Band(bounds.standing, stale);
    this.#others = new Band(bounds.standing, stale);
  }

  get size(): number {
    return this.#critical.size + this.#others.size;
  }

  get bytes(): number {
    return this.#bytes;
  }

  waitingOf(key: string): number {
    return this.#critical.waitingOf(key) + this.#others.waitingOf(key);
  }

  /** At the end of its tenant's queue. When that is too much somebody goes, perhaps the one who came. */
  join(waiting: Waiting): void {
    const { ofTenantMax, max, bytesMax } = this.#bounds;
    (waiting.rank === 'critical' ? this.#critical : this.#others).add(waiting);
    this.#bytes += waiting.bytes;
    if (this.waitingOf(waiting.key) > ofTenantMax)
      this.#overflow(this.#others.lastOf(waiting.key) ?? this.#critical.lastOf(waiting.key));
    while (this.size > max) this.#overflow(this.#lastOfLongest(sizeOf));
    while (this.#bytes > bytesMax) this.#overflow(this.#lastOfLongest(bytesOf));
  }

  /** Takes whose turn it is. */
  next(now: number): Waiting | undefined {
    const next = this.#critical.next(now) ?? this.#others.next(now);
    if (next !== undefined) this.#bytes -= next.bytes;
    return next;
  }

  /** It does not wait any more. False when it did not. */
  leave(waiting: Waiting): boolean {
    if (!this.#critical.remove(waiting) && !this.#others.remove(waiting)) return false;
    this.#bytes -= waiting.bytes;
    return true;
  }

  /** Refuses whose time is over, wherever they stand. */
  sweep(now: number): void {
    for (const band of [this.#critical, this.#others])
      for (const waiting of [...band.all()])
        if (now >= waiting.deadline && this.leave(waiting)) this.#shed(waiting, 'deadline');
  }

  #lastOfLongest(lengthOf: (queue: TenantQueue) => number): Waiting | undefined {
    return this.#others.lastOfLongest(lengthOf) ?? this.#critical.lastOfLongest(lengthOf);
  }

  #overflow(waiting: Waiting | undefined): void {
    const last = waiting as Waiting;
    this.leave(last);
    this.#shed(last, 'overflow');
  }
}

const bytesOf = ({ bytes }: TenantQueue): number => bytes;
