// hot path
/**
 * A tenant's quotas as a request meets them: of each meter what is used in its window, and the next mark.
 *
 *   used ├──────────────┼───────────┼──────▶ units        level 1 is entered at 80 % and left below 76 %
 *        0        next (80 %)   next (100 %)
 */
import type { Quota, QuotaAction, QuotaThreshold, Tenant } from '../../tenants/index.ts';
import type { Rate } from '../gcra.ts';

/** From mild to severe. */
export const ACTIONS: readonly QuotaAction[] = ['notify', 'shape', 'degrade', 'reject'];
const [DEGRADE, REJECT] = [2, 3] as const;
const NEVER = -1;
/** None of the actions. */
const NOTHING = -1;
/** A threshold is left when the use is 5 % below its mark: a gauge that sways around it raises one event. */
const LEAVE_SHARE = 0.95;
/** What a learnt estimate keeps of itself with each request that took less. */
const ESTIMATE_DECAY = 0.9;

export class Line {
  quota: Quota;
  /** Days of the window, the last not included. */
  from = 0;
  to = 0;
  /** Wall ms. */
  startMs = 0;
  endMs = 0;
  /** Units used in the window; of a gauge its value. */
  used = 0;
  /** Units promised to requests that are not done. */
  reserved = 0;
  /** Of the units used: what was counted here in the window, and given back here. */
  spent = 0;
  credited = 0;
  /** What may be spent here of a hard quota of a fleet, and what others could still give. */
  rights: number = Number.POSITIVE_INFINITY;
  elsewhere = 0;
  /** Whether it is said who has which part of it. */
  isParted = true;
  /** Units up to which it may be spent here before its disk or a collector has more of it (allowance.ts), and at which they should have. */
  cap: number = Number.POSITIVE_INFINITY;
  pressAt: number = Number.POSITIVE_INFINITY;
  /** Units that were asked for here since the last second, a second on average, and by the largest that found too little here. */
  asked = 0;
  askedPerSec = 0;
  lacked = 0;
  /** When more was last wanted of others, ms. */
  wantedAt: number = Number.NEGATIVE_INFINITY;
  /** When that was last told, ms, and how often parts of the fleet's limits had changed when `rights` were reckoned. */
  toldAt = 0;
  parts: number = NEVER;
  /** Own row of today; -1 until something counts, and when there is no room for it. */
  row = -1;
  /** Thresholds reached. */
  level = 0;
  /** The most severe action of those reached, by number; -1: none. */
  action: number = NOTHING;
  /** The least rate of those reached; one second of it may come at once. */
  rate: Rate | undefined = undefined;
  /** Units at which the next threshold is reached, and below which the last is left. */
  next: number = Number.POSITIVE_INFINITY;
  leave = 0;
  /** As `RateLimit-Policy` names it, and what it says there. */
  policyName = '';
  policy = '';
  /** Units that a request reserves until it is done. */
  learnt = 0;

  constructor(quota: Quota) {
    this.quota = quota;
  }

  /** Units a request that cannot be measured yet reserves; never more than the limit, which would admit nobody. */
  get estimate(): number {
    return Math.min(this.quota.estimate ?? this.learnt, this.quota.limit);
  }

  learn(units: number): void {
    this.learnt = Math.max(units, this.learnt * ESTIMATE_DECAY);
  }

  /** Whether a hard quota would be exceeded. What is known only when a request is done is over when nothing is left. */
  isOver(units: number): boolean {
    const taken = this.used + this.reserved;
    const { limit, source } = this.quota;
    return taken + units > limit || (source !== 'calls' && taken >= limit);
  }

  /** Whether it would be more than may be spent here now. */
  isShort(units: number): boolean {
    return this.lacksRights(units) || this.isAhead(units);
  }

  /** Whether more of what was spent must be kept before. */
  isAhead(units: number): boolean {
    return this.spent + this.reserved + units > this.cap;
  }

  /** Whether it would be more than this sidecar has rights to. */
  lacksRights(units: number): boolean {
    const taken = this.spent - this.credited + this.reserved;
    return taken + units > this.rights || (this.quota.source !== 'calls' && taken >= this.rights);
  }

  /** Units of a hard quota that this sidecar may still spend; negative where requests reserved more than it has. Alone: no bound. */
  get inHand(): number {
    return this.rights - this.spent + this.credited - this.reserved;
  }

  /** Units that are not used, and not reserved here. */
  get unused(): number {
    return this.quota.limit - this.used - this.reserved;
  }

  /** Of those what somebody may get here: not what sidecars hold that cannot be reached. */
  get left(): number {
    return this.quota.isHard ? Math.min(this.unused, Math.max(0, this.inHand) + this.elsewhere) : this.unused;
  }

  /** Of a hard quota what would be left if requests in flight here used nothing of what they reserved. */
  get freed(): number {
    return Math.min(this.unused + this.reserved, Math.max(0, this.inHand + this.reserved) + this.elsewhere);
  }

  /** Whether it refuses whatever comes. */
  get isRejecting(): boolean {
    return this.action === REJECT;
  }

  /** Nothing was spent in it yet. */
  beginWindow(): void {
    this.spent = 0;
    this.credited = 0;
  }

  /** The window begins anew, or the quota says something else. */
  restart(): void {
    this.level = 0;
    this.#mark();
  }

  /** Goes up to where the use is. `onReached` is told of each threshold. */
  climb(onReached: (threshold: QuotaThreshold) => void): void {
    const { thresholds } = this.quota;
    while (this.level < thresholds.length && this.used >= (thresholds[this.level] as QuotaThreshold).at) {
      onReached(thresholds[this.level] as QuotaThreshold);
      this.level++;
    }
    this.#mark();
  }

  /** Goes down to where the use is. */
  descend(): void {
    const { thresholds } = this.quota;
    while (this.level > 0 && this.used < (thresholds[this.level - 1] as QuotaThreshold).at * LEAVE_SHARE) this.level--;
    this.#mark();
  }

  #mark(): void {
    const { thresholds } = this.quota;
    this.next = thresholds[this.level]?.at ?? Number.POSITIVE_INFINITY;
    this.leave = this.level === 0 ? 0 : (thresholds[this.level - 1] as QuotaThreshold).at * LEAVE_SHARE;
    this.action = NOTHING;
    let least = Number.POSITIVE_INFINITY;
    for (let at = 0; at < this.level; at++) {
      const { action, perSec } = thresholds[at] as QuotaThreshold;
      this.action = Math.max(this.action, ACTIONS.indexOf(action));
      least = Math.min(least, perSec);
    }
    this.rate = least === Number.POSITIVE_INFINITY ? undefined : { perSec: least, burst: Math.max(1, least) };
  }
}

export class Account {
  readonly id: string;
  tenant: Tenant;
  lines: readonly Line[] = [];
  /** Wall ms between which `day` is the tenant's day. Outside, all of it is looked up anew. */
  from = 0;
  until = 0;
  day = -1;
  /** Ms on the monotonic clock from which on a request asks whether it still is: reading the wall clock each time would allocate. */
  lookAt = 0;
  /** Of all lines. */
  #action: number = NOTHING;
  /** The line with the least rate that is in force, if any is. */
  shaper: Line | undefined;
  hasHard = false;

  constructor(tenant: Tenant) {
    this.id = tenant.id;
    this.tenant = tenant;
  }

  /** A threshold is reached: the application is told with each request. */
  get isSoft(): boolean {
    return this.#action !== NOTHING;
  }

  get isDegraded(): boolean {
    return this.#action >= DEGRADE;
  }

  get isRejected(): boolean {
    return this.#action === REJECT;
  }

  /** Whenever a line changed its level. */
  survey(): void {
    this.#action = NOTHING;
    this.shaper = undefined;
    this.hasHard = false;
    for (const line of this.lines) {
      this.hasHard ||= line.quota.isHard;
      this.#action = Math.max(this.#action, line.action);
      if (line.rate !== undefined && line.rate.perSec < (this.shaper?.rate?.perSec ?? Number.POSITIVE_INFINITY))
        this.shaper = line;
    }
  }

  lineOf(meter: string): Line | undefined {
    for (const line of this.lines) if (line.quota.meter === meter) return line;
    return undefined;
  }
}
