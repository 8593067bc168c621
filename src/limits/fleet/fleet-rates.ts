/**
 * The limits of a fleet, from one of its sidecars: what was asked for and admitted here, what the others say, and the share that follows.
 *
 *   request ─▶ rate(): two numbers from arrays            never waits for anybody
 *   tick    ─▶ demand, level, share; a row when the others' picture of this one is wrong by too much
 *   row     ─▶ others.ts: sums over all others, by limit
 *
 * A limit is known by its name, the tenant's; numbers and slots are each sidecar's own. Alone it enforces the whole limit, exactly.
 */
import type { Clock, TenantIndex } from '../../core/index.ts';
import type { Delegate, Member, Written } from '../../gossip/index.ts';
import type { Tenant } from '../../tenants/index.ts';
import { enlarged, enlargedInts } from '../arrays.ts';
import type { Rate } from '../gcra.ts';
import type { PartitionPolicy, Surroundings } from './attendance.ts';
import { rateScale } from './log-byte.ts';
import { Others, type PeerExplanation, UNKNOWN } from './others.ts';
import { ROWS_MAX, RowLog } from './row-log.ts';
import { type Fleet, type Share, type ShareRule, type ShareState, shareByDemand } from './share.ts';

/** ms. */
export const TICK_MS = 100;
/** Demand is smoothed over this, s; that of a small limit over as many units of it, and at most this long: few requests say little. */
const DEMAND_SEC = 0.3;
const DEMAND_UNITS = 30;
const DEMAND_SEC_MAX = 3;
/** Demand that counts, in limits: a storm of retries must not take all shares. */
const DEMAND_MAX = 4;
/**
 * A row is written when the others are wrong in what was admitted by this part of the limit a second, or in what is asked for by this part
 * of the limit and of an equal share; and after this long in any case while something is asked for.
 */
const HOT = { admitted: 0.002, demand: 0, share: 0.1, rowMsMax: 1000 };
/** The same of a limit of which little is used. Thousands of tenants are far from their limits: what is said of them must cost little. */
const COLD = { admitted: 0.02, demand: 0.02, share: 0.5, rowMsMax: 10_000 };
/** Of what was told is asked for: a change that is chance more often than not. */
const NOISE = 0.15;
/** Of the limit asked for, or of the bucket spent, from which on it is hot. */
const HOT_PART = 0.3;
/** Demand that grew by more than an equal share, and by so many times what chance makes of it, is told at once. */
const URGENT = 3;
/** Without a request anywhere for this long a limit is not reckoned with, ms. */
const IDLE_MS = 10_000;

type Arrays =
  | 'perSec'
  | 'burst'
  | 'admitted'
  | 'offeredNow'
  | 'admittedNow'
  | 'demand'
  | 'known'
  | 'rate'
  | 'level'
  | 'integral'
  | 'share'
  | 'tolerance'
  | 'borrow'
  | 'activeAt'
  | 'tickedAt';

export interface FleetOptions {
  readonly clock: Clock;
  readonly partition: PartitionPolicy;
  /** Another than ours stands in the simulator, to be compared with. */
  readonly rule?: ShareRule;
  /** Another bound than `ROWS_MAX` is for tests. */
  readonly limitsMax?: number;
}

/** What a sidecar takes of a limit and what it knows the others take; units and seconds. */
export interface FleetExplanation {
  readonly members: number;
  /** What is left in the fleet's bucket; negative in debt. */
  readonly level: number;
  readonly here: {
    readonly share: number;
    readonly burst: number;
    readonly borrow: number;
    readonly demand: number;
    readonly admitted: number;
  };
  readonly demand: number;
  /** Those that asked for anything of it, the most asking first. */
  readonly peers: readonly PeerExplanation[];
}

export class FleetRates implements Delegate {
  readonly #clock: Clock;
  readonly #rule: ShareRule;
  readonly #limitsMax: number;
  readonly #others: Others;
  readonly #own = new RowLog();
  readonly #numbers = new Map<string, number>();
  readonly #names: string[] = [];
  /** By tenant slot: the number of its limit + 1. */
  #bySlot: Int32Array = new Int32Array(0);
  #a: Record<Arrays, Float64Array> = emptyArrays();
  #lastTick: number;
  #isUrgent = false;
  // Filled anew for each: nothing is allocated in a request, nor when a share is taken.
  readonly #rate: { perSec: number; burst: number } = { perSec: 0, burst: 0 };
  readonly #fleet: { -readonly [K in keyof Fleet]: Fleet[K] } = {
    perSec: 0,
    burst: 0,
    members: 1,
    demandHere: 0,
    demand: 0,
    admitted: 0,
    seconds: 0,
  };
  readonly #state: ShareState = { level: 0, integral: 0 };
  readonly #share: Share = { perSec: 0, burst: 0, borrow: 0 };

  constructor({ clock, partition, rule = shareByDemand(), limitsMax = ROWS_MAX }: FleetOptions) {
    this.#limitsMax = limitsMax;
    this.#clock = clock;
    this.#others = new Others(clock, partition, (name) => this.#numberByName(name));
    this.#rule = rule;
    this.#lastTick = clock.now();
  }

  /** By whom the fleet is known; before it is said this sidecar is alone. */
  follow(surroundings: Surroundings): void {
    this.#others.follow(surroundings);
  }

  /** Members whose requests count, this sidecar included. */
  get members(): number {
    return this.#others.members;
  }

  /** Then a limit is enforced as it stands. */
  get #isAlone(): boolean {
    return this.#others.members === 1 && this.#others.part === 1;
  }

  /** Notes that `cost` is asked for. Before anything else that is asked of a tenant in a request. */
  offer({ index, id }: Tenant, limit: Rate, cost: number): void {
    const number = this.#numberOf(index, id, limit);
    if (number !== UNKNOWN) (this.#a.offeredNow[number] as number) += cost;
  }

  /** What the tenant may take here, now: the limit itself when there is nobody else. Valid until the next call. */
  rate(slot: TenantIndex, limit: Rate): Rate {
    if (this.#isAlone) return limit;
    const number = this.#known(slot);
    if (number === UNKNOWN) {
      this.#rate.perSec = (limit.perSec * this.#others.part) / this.#others.members;
      this.#rate.burst = Math.max(1, limit.burst / this.#others.members);
    } else {
      this.#rate.perSec = this.#a.share[number] as number;
      this.#rate.burst = this.#a.tolerance[number] as number;
    }
    return this.#rate;
  }

  /** Whether `cost` can be taken from the fleet's bucket, beyond the share. */
  canBorrow(slot: TenantIndex, cost: number): boolean {
    return !this.#isAlone && (this.#a.borrow[this.#known(slot)] ?? 0) >= cost;
  }

  borrow(slot: TenantIndex, cost: number): void {
    (this.#a.borrow[this.#known(slot)] as number) -= cost;
  }

  /** Notes that `cost` was admitted. */
  admit(slot: TenantIndex, cost: number): void {
    const number = this.#known(slot);
    if (number !== UNKNOWN) (this.#a.admittedNow[number] as number) += cost;
  }

  /** What is left in the fleet's bucket, the same on all sidecars as far as they know; undefined: this sidecar is alone, or has not seen the tenant. */
  level(slot: TenantIndex): number | undefined {
    const number = this.#known(slot);
    if (this.#isAlone || number === UNKNOWN) return undefined;
    // What was admitted since the last tick is not in it yet.
    return (this.#a.level[number] as number) - (this.#a.admittedNow[number] as number);
  }

  explain(slot: TenantIndex): FleetExplanation | undefined {
    const number = this.#known(slot);
    const level = this.level(slot);
    if (level === undefined) return undefined;
    const a = this.#a;
    return {
      members: this.#others.members,
      level,
      here: {
        share: a.share[number] as number,
        burst: a.tolerance[number] as number,
        borrow: a.borrow[number] as number,
        demand: a.demand[number] as number,
        admitted: a.rate[number] as number,
      },
      demand: (a.demand[number] as number) + this.#others.demand(number),
      peers: this.#others.explain(number),
    };
  }

  /** What a member is known to have admitted of a limit, units; for a simulator that knows the truth. */
  admittedBy(member: number, name: string): number {
    const number = this.#numbers.get(name);
    if (number === undefined) return 0;
    return member === 0 ? (this.#a.admitted[number] as number) : this.#others.admittedBy(member, number);
  }

  /** The tenant left, or its slot is another's. */
  forget(slot: TenantIndex): void {
    if (slot < this.#bySlot.length) this.#bySlot[slot] = 0;
  }

  /** Every `TICK_MS`: shares are taken anew, and rows written for what the others should know. True when it should reach them at once. */
  tick(): boolean {
    const now = this.#clock.now();
    const seconds = (now - this.#lastTick) / 1000;
    if (seconds <= 0) return false;
    this.#lastTick = now;
    this.#others.recount();
    this.#isUrgent = false;
    for (let number = 0; number < this.#names.length; number++) this.#tickOne(number, now, seconds);
    return this.#isUrgent;
  }

  #tickOne(number: number, now: number, seconds: number): void {
    const a = this.#a;
    const offered = a.offeredNow[number] as number;
    if (offered > 0) a.activeAt[number] = now;
    const activeAt = Math.max(a.activeAt[number] as number, this.#others.heardAt(number));
    if (activeAt === 0 || now - activeAt > IDLE_MS) return;
    const limit = (a.perSec[number] as number) * this.#others.part;
    // Asked for elsewhere only: its limit is looked up with the first request here.
    if (limit === 0) return;
    const admitted = a.admittedNow[number] as number;
    a.offeredNow[number] = 0;
    a.admittedNow[number] = 0;
    (a.admitted[number] as number) += admitted;
    const weight = 1 - Math.exp(-seconds / smoothSecOf(limit));
    const demand = follow(a.demand, number, Math.min(offered / seconds, DEMAND_MAX * limit), weight);
    const known = follow(a.known, number, demand, 1 - Math.exp(-seconds / this.#rule.knownSec));
    follow(a.rate, number, admitted / seconds, weight);
    const fleet = this.#fleet;
    fleet.perSec = limit;
    fleet.burst = Math.max(1, (a.burst[number] as number) * this.#others.part);
    fleet.members = this.#others.members;
    const othersDemand = this.#others.demand(number);
    // Within the limit a share that is not needed is no loss; beyond it is.
    const here = known + othersDemand < limit ? known : Math.min(known, demand);
    fleet.demandHere = here;
    fleet.demand = here + othersDemand;
    fleet.admitted = admitted + this.#others.admittedSince(number, now);
    // What was not reckoned with while it was idle filled up all the same.
    fleet.seconds = (now - (a.tickedAt[number] as number)) / 1000;
    a.tickedAt[number] = now;
    this.#state.level = a.level[number] as number;
    this.#state.integral = a.integral[number] as number;
    this.#rule.take(fleet, this.#state, this.#share);
    a.level[number] = this.#state.level;
    a.integral[number] = this.#state.integral;
    a.share[number] = this.#share.perSec;
    a.tolerance[number] = this.#share.burst;
    a.borrow[number] = this.#share.borrow;
    const isHot =
      fleet.demand > HOT_PART * limit || this.#state.level < (1 - HOT_PART) * fleet.burst || demand > HOT_PART * limit;
    if (this.#others.members > 1) this.#tell(number, now, limit, isHot ? HOT : COLD);
  }

  /** Others reckon on with the rate of the last row; a new one is due when that leads them astray. */
  #tell(number: number, now: number, limit: number, errors: typeof HOT): void {
    const a = this.#a;
    const own = this.#own;
    const demand = a.demand[number] as number;
    const hasRow = own.has(number);
    const sinceMs = hasRow ? now - own.at(number) : 0;
    const believed = hasRow ? own.admitted(number) + (own.rate(number) * sinceMs) / 1000 : 0;
    const isWrong = Math.abs((a.admitted[number] as number) - believed) > Math.max(1, errors.admitted * limit);
    const told = hasRow ? own.demand(number) : 0;
    const least = Math.max(errors.demand * limit, (errors.share * limit) / this.#others.members, NOISE * told);
    const isAskedOtherwise = Math.abs(demand - told) > least;
    const isOld = sinceMs >= errors.rowMsMax && (demand > rateScale.decode(1) || own.rate(number) > 0);
    if (!isWrong && !isAskedOtherwise && !isOld) return;
    if (!hasRow) own.putName({ number, version: own.version + 1, name: this.#names[number] as string });
    own.put({
      number,
      version: own.version + 1,
      admitted: a.admitted[number] as number,
      demand: rateScale.encode(demand),
      rate: rateScale.encode(a.rate[number] as number),
      at: now,
    });
    // Requests that come at random: smoothed over τ, so many a second are off by √(demand ÷ 2τ).
    const chance = Math.sqrt(told / (2 * smoothSecOf(limit)));
    if (demand - told > limit / this.#others.members + URGENT * chance) this.#isUrgent = true;
  }

  version(member: number): number {
    return member === 0 ? this.#own.version : this.#others.version(member);
  }

  write(member: number, after: number, bytes: Uint8Array, offset: number, end: number): Written {
    return member === 0
      ? this.#own.write(after, this.#clock.now(), bytes, offset, end)
      : this.#others.write(member, after, bytes, offset, end);
  }

  read(member: number, after: number, upTo: number, bytes: Uint8Array): boolean {
    return this.#others.read(member, after, upTo, bytes);
  }

  onMember(member: Member): void {
    if (member.slot !== 0) this.#others.onMember(member);
  }

  onForgotten(slot: number): void {
    this.#others.onForgotten(slot);
  }

  #known(slot: TenantIndex): number {
    return (this.#bySlot[slot] ?? 0) - 1;
  }

  #numberOf(slot: TenantIndex, name: string, limit: Rate): number {
    if (slot >= this.#bySlot.length) this.#bySlot = enlargedInts(this.#bySlot, Math.ceil((slot + 1) * 1.25), 0);
    let number = this.#known(slot);
    if (number === UNKNOWN) {
      number = this.#numberByName(name);
      if (number === UNKNOWN) return UNKNOWN;
      this.#bySlot[slot] = number + 1;
    }
    const a = this.#a;
    if (a.perSec[number] !== limit.perSec || a.burst[number] !== limit.burst) this.#setLimit(number, limit);
    return number;
  }

  /** A limit that is new here, or changed: what was spent of it stays spent, up to the new burst, and shares stay in proportion. */
  #setLimit(number: number, { perSec, burst }: Rate): void {
    const a = this.#a;
    const before = a.perSec[number] as number;
    if (before === 0) this.#begin(number, perSec, burst);
    else {
      const burstBefore = a.burst[number] as number;
      const level = a.level[number] as number;
      a.level[number] = burst < burstBefore ? Math.min(burst, level) : level + burst - burstBefore;
      (a.share[number] as number) *= perSec / before;
      a.tolerance[number] = Math.max(1, ((a.tolerance[number] as number) * burst) / burstBefore);
      a.borrow[number] = Math.min(a.borrow[number] as number, burst);
    }
    a.perSec[number] = perSec;
    a.burst[number] = burst;
  }

  #begin(number: number, perSec: number, burst: number): void {
    const a = this.#a;
    const now = this.#clock.now();
    const isIdle = this.#others.demand(number) === 0;
    // Each who joins must not bring a whole burst to a fleet that is at its limit.
    const level = isIdle ? burst : burst / 2;
    a.level[number] = level;
    this.#others.admittedSince(number, now);
    a.tickedAt[number] = now;
    a.share[number] = (perSec * this.#others.part) / this.#others.members;
    a.tolerance[number] = Math.max(1, burst / this.#others.members);
    a.borrow[number] = isIdle ? level / this.#others.members : 0;
  }

  /** `UNKNOWN` when there is no room: then each member takes an equal part of the limit. */
  #numberByName(name: string): number {
    let number = this.#numbers.get(name);
    if (number !== undefined) return number;
    if (this.#names.length >= this.#limitsMax) return UNKNOWN;
    number = this.#names.push(name) - 1;
    this.#numbers.set(name, number);
    if (number >= this.#a.perSec.length) {
      const room = Math.max(16, number * 2);
      for (const key of Object.keys(this.#a) as Arrays[]) this.#a[key] = enlarged(this.#a[key], room);
      this.#others.reserve(room);
    }
    return number;
  }
}

/** Over what the demand for a limit is smoothed, s. */
function smoothSecOf(perSec: number): number {
  return Math.min(DEMAND_SEC_MAX, Math.max(DEMAND_SEC, DEMAND_UNITS / perSec));
}

function follow(values: Float64Array, at: number, value: number, weight: number): number {
  const next = (values[at] as number) + weight * (value - (values[at] as number));
  values[at] = next;
  return next;
}

function emptyArrays(): Record<Arrays, Float64Array> {
  const none = (): Float64Array => new Float64Array(0);
  return {
    perSec: none(),
    burst: none(),
    admitted: none(),
    offeredNow: none(),
    admittedNow: none(),
    demand: none(),
    known: none(),
    rate: none(),
    level: none(),
    integral: none(),
    share: none(),
    tolerance: none(),
    borrow: none(),
    activeAt: none(),
    tickedAt: none(),
  };
}
