/**
 * What becomes of each limit with time: every tick the demand for it, what is left in its bucket and the share that follows are reckoned anew, and a
 * row is written when the others' picture of this sidecar is wrong by too much. Never in a request.
 *
 *   offered, admitted here ─┐
 *   demand, admitted there ─┴─▶ level, share ─▶ columns ─▶ rate() of a request
 *                                  └─▶ own row, where it says more than the last
 *
 * Bounds: `TURN_LIMITS` limits a turn of the loop; the rest follow in the next turns.
 */
import type { Clock } from '../../core/index.ts';
import {
  ADMITTED,
  ASKS,
  BORROW,
  BURST,
  type Columns,
  clear,
  OFFERED,
  PER_SEC,
  ROW,
  SHARE,
  TOLERANCE,
} from './columns.ts';
import { nextDemand, nextSpread, smoothSec } from './demand.ts';
import type { LimitNumbers } from './limit-numbers.ts';
import type { Others } from './others.ts';
import type { OwnRows } from './own-rows.ts';
import type { Fleet, Share, ShareRule, ShareState } from './share.ts';

/** ms. */
export const TICK_MS = 100;
/** Limits reckoned with in one turn of the loop: about a millisecond. */
const TURN_LIMITS = 4096;
/** Demand that counts, in limits: a storm of retries must not take all shares. */
const DEMAND_MAX = 4;
/** Of the limit asked for, or of the bucket spent, from which on it is hot. */
const HOT_PART = 0.3;
/** Without a request anywhere for this long a limit is not reckoned with, ms; after the longer one it is not remembered. */
const IDLE_MS = 10_000;
const FORGET_MS = 600_000;
/** What is admitted is smoothed over this, s, or longer where the limit is small. */
const RATE_SEC = 0.3;
/** Of the limit: less is what rounding left of a sum. */
const NONE_PART = 1e-9;
/** Of what a request costs, the weight of a turn. */
const UNIT_WEIGHT = 0.2;

export interface TicksOptions {
  readonly clock: Clock;
  readonly rule: ShareRule;
  readonly columns: Columns;
  readonly numbers: LimitNumbers;
  readonly own: OwnRows;
  readonly others: Others;
}

export class Ticks {
  readonly #clock: Clock;
  readonly #rule: ShareRule;
  readonly #columns: Columns;
  readonly #numbers: LimitNumbers;
  readonly #own: OwnRows;
  readonly #others: Others;
  #lastTick: number;
  #next = 0;
  #isUrgent = false;
  /** Of the last tick, and of the one that is under way. */
  #rowAgeMs = 0;
  #rowAgeNowMs = 0;
  // Filled anew for each: nothing is allocated when a share is taken.
  readonly #fleet: { -readonly [K in keyof Fleet]: Fleet[K] } = {
    perSec: 0,
    burst: 0,
    members: 1,
    demandHere: 0,
    demand: 0,
    admitted: 0,
    seconds: 0,
    unit: 1,
  };
  readonly #state: ShareState = { level: 0, integral: 0 };
  readonly #demand = { perSec: 0, unit: 0, spread: 1 };
  readonly #share: Share = { perSec: 0, burst: 0, borrow: 0 };

  constructor({ clock, rule, columns, numbers, own, others }: TicksOptions) {
    this.#clock = clock;
    this.#rule = rule;
    this.#columns = columns;
    this.#numbers = numbers;
    this.#own = own;
    this.#others = others;
    this.#lastTick = clock.now();
  }

  /** Of limits asked for here and elsewhere at the last tick: the longest since one was heard of, ms; 0: there is none. */
  get rowAgeMs(): number {
    return this.#rowAgeMs;
  }

  /** Whether a tick is not done. */
  get isBehind(): boolean {
    return this.#next > 0;
  }

  /** Whether it is time for a tick. */
  begin(): boolean {
    const now = this.#clock.now();
    if (now <= this.#lastTick) return false;
    this.#lastTick = now;
    return true;
  }

  /** A turn of the loop. True when what was written should reach the others at once. */
  turn(): boolean {
    const now = this.#clock.now();
    this.#isUrgent = false;
    const end = Math.min(this.#numbers.size, this.#next + TURN_LIMITS);
    for (let number = this.#next; number < end; number++) this.#tickOne(number, now);
    this.#next = end < this.#numbers.size ? end : 0;
    if (this.#next === 0) {
      this.#rowAgeMs = this.#rowAgeNowMs;
      this.#rowAgeNowMs = 0;
    }
    return this.#isUrgent;
  }

  #tickOne(number: number, now: number): void {
    const a = this.#columns;
    const { requested } = a;
    const at = number * ROW;
    const offered = requested[at + OFFERED] as number;
    const asks = requested[at + ASKS] as number;
    const heardAt = this.#others.heardAt(number);
    const usedAt = Math.max(a.activeAt[number] as number, heardAt);
    if (asks > 0) a.activeAt[number] = now;
    else if (now - usedAt > IDLE_MS) return this.#rest(number, now, usedAt);
    const limit = (requested[at + PER_SEC] as number) * this.#others.part;
    // Asked for elsewhere only: its limit is looked up with the first request here.
    if (limit === 0) return;
    const admitted = requested[at + ADMITTED] as number;
    requested[at + OFFERED] = 0;
    requested[at + ASKS] = 0;
    requested[at + ADMITTED] = 0;
    (a.admitted[number] as number) += admitted;
    const sinceSec = (now - (a.tickedAt[number] as number)) / 1000;
    a.tickedAt[number] = now;
    // After a rest nobody knows when it began.
    const seconds = now - usedAt > IDLE_MS ? TICK_MS / 1000 : Math.max(TICK_MS / 1000, sinceSec);
    const unit = (a.unit[number] = nextUnit(a.unit[number] as number, offered, asks));
    const before = a.demand[number] as number;
    const counted = Math.min(offered, DEMAND_MAX * limit * seconds);
    this.#demand.perSec = before;
    this.#demand.unit = unit;
    this.#demand.spread = Math.max(1, a.spread[number] as number);
    const demand = nextDemand(this.#demand, counted, seconds, limit);
    a.spread[number] = nextSpread(this.#demand.spread, counted, before * seconds, unit);
    a.demand[number] = demand;
    const lags = seconds / smoothSec(limit, unit, RATE_SEC);
    lag(a.rate, number, admitted / seconds, lags);
    lag(a.shareThen, number, requested[at + SHARE] as number, lags);
    // By what the others know, so that all shares together are the limit; and when they may know it, or all that grow at once would take the room there is.
    const told = this.#own.toldDemand(number) ?? demand;
    const known = lag(a.known, number, told, seconds / this.#rule.knownSec);
    const fleet = this.#fleet;
    fleet.perSec = limit;
    fleet.burst = Math.max(1, (requested[at + BURST] as number) * this.#others.part);
    fleet.members = this.#others.members;
    const othersDemand = this.#others.demand(number);
    if (asks > 0 && othersDemand > NONE_PART * limit) this.#rowAgeNowMs = Math.max(this.#rowAgeNowMs, now - heardAt);
    // Within the limit a share that is not needed is no loss; beyond it is.
    const here = known + othersDemand < limit ? known : Math.min(known, told);
    fleet.demandHere = here;
    fleet.demand = here + othersDemand;
    fleet.admitted = admitted + this.#others.admittedSince(number, now);
    // What was not reckoned with while it was idle filled up all the same.
    fleet.seconds = sinceSec;
    fleet.unit = unit;
    this.#state.level = a.level[number] as number;
    this.#state.integral = a.integral[number] as number;
    this.#rule.take(fleet, this.#state, this.#share);
    a.level[number] = this.#state.level;
    a.integral[number] = this.#state.integral;
    requested[at + SHARE] = this.#share.perSec;
    requested[at + TOLERANCE] = this.#share.burst;
    requested[at + BORROW] = this.#share.borrow;
    if (this.#others.members === 1) return;
    const isHot =
      fleet.demand > HOT_PART * limit || this.#state.level < (1 - HOT_PART) * fleet.burst || demand > HOT_PART * limit;
    const world = { now, perSec: limit, members: this.#others.members, isHot };
    if (this.#own.tell(number, this.#numbers.nameOf(number), a, world)) this.#isUrgent = true;
  }

  /** Nobody asked for it for long: the others are told that it means nothing, and its number is free once they say the same. */
  #rest(number: number, now: number, usedAt: number): void {
    if (now - usedAt <= FORGET_MS || this.#numbers.nameOf(number) === '') return;
    this.#own.free(number);
    if (this.#others.isNamed(number)) return;
    this.#others.forget(number);
    clear(this.#columns, number);
    this.#numbers.give(number);
  }
}

/** What a request costs: of the first turn what it says, then smoothed. */
function nextUnit(unit: number, offered: number, asks: number): number {
  if (asks === 0) return unit;
  return unit === 0 ? offered / asks : unit + UNIT_WEIGHT * (offered / asks - unit);
}

/** Follows a value with a lag; `lags`: how many of them went by. */
function lag(values: Float64Array, at: number, value: number, lags: number): number {
  const next = (values[at] as number) + (1 - Math.exp(-lags)) * (value - (values[at] as number));
  values[at] = next;
  return next;
}
