/**
 * Who waits in one rank of urgency, by tenant, and whose turn is next: deficit round robin in the form of FQ-CoDel (RFC 8290 §4), with an exact queue a tenant in
 * place of hashed ones, turns in place of bytes, and a quantum by weight.
 *
 *   fresh ─▶ [b: ▪]                       a tenant that just began to wait, for one quantum
 *   old   ─▶ [a: ▪▪▪▪▪▪] ─▶ [c: ▪▪] ─▶ ⟲    deficit > 0: its first is next, and pays its cost; else a quantum more, and to the end
 *
 * Max-min fair: what one tenant does not take of its share the others have, by their weights. A tenant that is emptied keeps what it owes
 * until its turns have paid it, so that coming and going is worth nothing; when nobody waits nobody owes.
 */

/** Why somebody who waited is refused. */
export type Shed =
  /** More of the tenant's waited than may, or more of all, and its queue was the longest. */
  | 'overflow'
  /** It waited as long as it may. */
  | 'deadline'
  /** Its tenant's queue has not been empty for long, and it waited longer than is good for anybody then. */
  | 'standing';

export interface Waiting {
  /** Of its tenant. */
  readonly key: string;
  readonly weight: number;
  /** Of its route, > 0. */
  readonly cost: number;
  /** Held in memory for it while it waits. */
  readonly bytes: number;
  readonly since: number;
  /** Refused from then on. */
  readonly deadline: number;
  /** `critical`: before all others. `low`: behind its tenant's others, and at four times the cost: a quarter of the weight. */
  readonly rank: Rank;
}

export type Rank = 'critical' | 'normal' | 'low';

/** A quarter of the weight (the design's rung `deprioritize`). */
const LOW_COST = 4;

/** When a tenant's queue stands, and what that changes: the two times of CoDel (RFC 8289), for age in place of sojourn. */
export interface Standing {
  /** It has not been empty for so long, ms. */
  readonly intervalMs: number;
  /** Who has waited longer is refused when its turn comes, ms. */
  readonly targetMs: number;
}

/** What one tenant has waiting. Sets keep the order, and forget in constant time. */
export interface TenantQueue {
  readonly key: string;
  weight: number;
  readonly normal: Set<Waiting>;
  readonly low: Set<Waiting>;
  deficit: number;
  bytes: number;
  /** When it was last empty. */
  since: number;
}

export const sizeOf = ({ normal, low }: TenantQueue): number => normal.size + low.size;

/** Keyed by who has somebody waiting, or owes: never more than waited since nobody did. */
export class Band {
  readonly #queues = new Map<string, TenantQueue>();
  readonly #fresh = new Set<TenantQueue>();
  readonly #old = new Set<TenantQueue>();
  readonly #standing: Standing;
  readonly #shed: (waiting: Waiting, why: Shed) => void;
  size = 0;
  /** The largest weight since somebody waits: the quantum of that tenant is 1. */
  #weightMax = 0;

  constructor(standing: Standing, shed: (waiting: Waiting, why: Shed) => void) {
    this.#standing = standing;
    this.#shed = shed;
  }

  add(waiting: Waiting): void {
    const { key, weight, since, rank } = waiting;
    this.#weightMax = Math.max(this.#weightMax, weight);
    let queue = this.#queues.get(key);
    if (queue === undefined) {
      queue = { key, weight, normal: new Set(), low: new Set(), deficit: 0, bytes: 0, since };
      queue.deficit = this.#quantum(queue);
      this.#queues.set(key, queue);
      this.#fresh.add(queue);
    }
    if (sizeOf(queue) === 0) queue.since = since;
    queue.weight = weight;
    (rank === 'low' ? queue.low : queue.normal).add(waiting);
    queue.bytes += waiting.bytes;
    this.size++;
  }

  /** False when it does not wait here. */
  remove(waiting: Waiting): boolean {
    const queue = this.#queues.get(waiting.key);
    if (queue === undefined || !(queue.normal.delete(waiting) || queue.low.delete(waiting))) return false;
    queue.bytes -= waiting.bytes;
    this.size--;
    if (this.size === 0) this.#forgetAll();
    return true;
  }

  /** Takes whose turn it is; undefined when nobody is left who may have it. */
  next(now: number): Waiting | undefined {
    let passed = 0;
    while (this.size > 0) {
      const [queue] = this.#fresh.size > 0 ? this.#fresh : this.#old;
      const at = queue as TenantQueue;
      const first = this.#firstOf(at.normal, at, now) ?? this.#firstOf(at.low, at, now);
      if (this.size === 0) break;
      if (at.deficit > 0 && first !== undefined) {
        at.deficit -= first.cost * (first.rank === 'low' ? LOW_COST : 1);
        this.remove(first);
        return first;
      }
      if (at.deficit > 0 && !this.#fresh.has(at)) this.#forget(at);
      else this.#passOver(at);
      if (++passed > this.#queues.size) {
        this.#passRounds();
        passed = 0;
      }
    }
    return undefined;
  }

  /** Of whom nothing may be left: the last of the queue that is longest for its weight. */
  lastOfLongest(lengthOf: (queue: TenantQueue) => number): Waiting | undefined {
    let longest: TenantQueue | undefined;
    let most = 0;
    for (const queue of this.#queues.values()) {
      const length = lengthOf(queue) / queue.weight;
      if (length <= most) continue;
      most = length;
      longest = queue;
    }
    return longest && lastOf(longest);
  }

  /** How many of a tenant wait. */
  waitingOf(key: string): number {
    const queue = this.#queues.get(key);
    return queue === undefined ? 0 : sizeOf(queue);
  }

  /** The last of a tenant's. */
  lastOf(key: string): Waiting | undefined {
    const queue = this.#queues.get(key);
    return queue && lastOf(queue);
  }

  /** All who wait, in no order. */
  *all(): Generator<Waiting> {
    for (const { normal, low } of this.#queues.values()) {
      yield* normal;
      yield* low;
    }
  }

  #quantum(queue: TenantQueue): number {
    return queue.weight / this.#weightMax;
  }

  /** The first who may still have its turn; who may not is refused. */
  #firstOf(line: Set<Waiting>, { since }: TenantQueue, now: number): Waiting | undefined {
    const { intervalMs, targetMs } = this.#standing;
    for (const waiting of line) {
      const isStale = now - since > intervalMs && now - waiting.since > targetMs;
      if (now < waiting.deadline && !isStale) return waiting;
      this.remove(waiting);
      this.#shed(waiting, isStale ? 'standing' : 'deadline');
    }
    return undefined;
  }

  /** To the end of the round, with a quantum more. */
  #passOver(queue: TenantQueue): void {
    // Who was fresh and is empty owes a round all the same.
    if (queue.deficit <= 0) queue.deficit += this.#quantum(queue);
    if (!this.#fresh.delete(queue)) this.#old.delete(queue);
    this.#old.add(queue);
  }

  /** A whole round in which nobody could pay: as many more at once as the first needs who can, so that small weights do not cost rounds. */
  #passRounds(): void {
    let rounds = Number.POSITIVE_INFINITY;
    for (const queue of this.#queues.values())
      if (sizeOf(queue) > 0) rounds = Math.min(rounds, Math.floor(Math.max(0, -queue.deficit) / this.#quantum(queue)));
    for (const queue of this.#queues.values())
      queue.deficit = Math.min(queue.deficit + rounds * this.#quantum(queue), 1);
  }

  #forget(queue: TenantQueue): void {
    this.#old.delete(queue);
    this.#queues.delete(queue.key);
  }

  #forgetAll(): void {
    this.#queues.clear();
    this.#fresh.clear();
    this.#old.clear();
    this.#weightMax = 0;
  }
}

function lastOf({ normal, low }: TenantQueue): Waiting | undefined {
  return [...(low.size > 0 ? low : normal)].at(-1);
}
