/**
 * The limits of a fleet, from one of its sidecars: what was asked for and admitted here, what the others say, and the share that follows.
 *
 *   request ─▶ rate(): two numbers from arrays            never waits for anybody
 *   tick    ─▶ demand, level, share; a row when the others' picture of this one is wrong by too much
 *   row     ─▶ others.ts: sums over all others, by limit
 *
 * A limit is known by its name: the tenant's, and what of it is limited when that is not all of its requests. Numbers and slots are each
 * sidecar's own. Alone it enforces the whole limit, exactly.
 */
import type { Clock, TenantIndex } from '../../core/index.ts';
import type { Delegate, Member, Written } from '../../gossip/index.ts';
import type { Tenant } from '../../tenants/index.ts';
import { roomFor } from '../arrays.ts';
import type { Rate } from '../gcra.ts';
import type { PartitionPolicy, Surroundings } from './attendance.ts';
import {
  ADMITTED,
  ASKS,
  BORROW,
  BURST,
  type Columns,
  enlarge,
  newColumns,
  OFFERED,
  PER_SEC,
  ROW,
  SHARE,
  TOLERANCE,
} from './columns.ts';
import { type Explained, explainParts, explainShares, type FleetExplanation } from './explanation.ts';
import { EGRESS, LimitNumbers, REQUESTS } from './limit-numbers.ts';
import { Others } from './others.ts';
import { OwnRows } from './own-rows.ts';
import { UNKNOWN } from './row-table.ts';
import { type ShareRule, shareByDemand } from './share.ts';
import { type StrictPart, StrictParts } from './strict.ts';
import { Ticks } from './ticks.ts';

export interface FleetOptions {
  readonly clock: Clock;
  readonly partition: PartitionPolicy;
  /** Another than ours stands in the simulator, to be compared with. */
  readonly rule?: ShareRule;
  /** Another bound than `ROWS_MAX` is for tests. */
  readonly limitsMax?: number;
}

/** `part` of a tenant, wherever it is asked for: `REQUESTS`, `EGRESS`, or `ROUTE` + the index of a route. */
export class FleetRates implements Delegate {
  readonly #clock: Clock;
  readonly #others: Others;
  readonly #own: OwnRows;
  readonly #numbers: LimitNumbers;
  readonly #strict: StrictParts;
  #self = '';
  readonly #columns: Columns = newColumns();
  // Filled anew for each: nothing is allocated in a request.
  readonly #rate: { perSec: number; burst: number } = { perSec: 0, burst: 0 };
  readonly #ticks: Ticks;
  readonly #explained: Explained;

  constructor({ clock, partition, rule = shareByDemand(), limitsMax }: FleetOptions) {
    this.#numbers = new LimitNumbers(limitsMax);
    this.#clock = clock;
    this.#strict = new StrictParts(clock);
    const nameOf = (number: number): string => this.#numbers.nameOf(number);
    this.#own = new OwnRows(nameOf);
    this.#others = new Others(clock, partition, { take: (name) => this.#take(name), nameOf });
    this.#explained = { columns: this.#columns, others: this.#others, strict: this.#strict, rule };
    this.#ticks = new Ticks({
      clock,
      rule,
      columns: this.#columns,
      numbers: this.#numbers,
      own: this.#own,
      others: this.#others,
    });
  }

  /** By whom the fleet is known; before it is said this sidecar is alone. */
  follow(surroundings: Surroundings): void {
    this.#others.follow(surroundings);
  }

  /** Members whose requests count, this sidecar included. */
  get members(): number {
    return this.#others.members;
  }

  /** What of each limit those may take together, of 1. */
  get part(): number {
    return this.#others.part;
  }

  /** Rows the others said, ever. */
  get rowsHeard(): number {
    return this.#others.rowsHeard;
  }

  /** Of limits asked for here and elsewhere at the last tick: the longest since one was heard of, ms; 0: there is none. */
  get rowAgeMs(): number {
    return this.#ticks.rowAgeMs;
  }

  /** Limits that have a number, for whatever reason. */
  get size(): number {
    return this.#numbers.used;
  }

  /** Notes that `cost` is asked for. Before anything else that is asked of a limit in a request. `route`: its name, of a part that is one. */
  offer({ index, id }: Tenant, limit: Rate, cost: number, part: number = REQUESTS, route = ''): void {
    let number = this.#numbers.find(index, part);
    if (number === UNKNOWN) {
      number = this.#take(nameOf(id, part, route));
      if (number === UNKNOWN) return;
      this.#numbers.keep(index, part, number);
    }
    const { requested } = this.#columns;
    const at = number * ROW;
    if (requested[at + PER_SEC] !== limit.perSec || requested[at + BURST] !== limit.burst)
      this.#setLimit(number, limit);
    (requested[at + OFFERED] as number) += cost;
    (requested[at + ASKS] as number) += 1;
  }

  /** Notes that one was refused before anybody knew what it would cost. */
  offerUsual(slot: TenantIndex, part: number): void {
    const number = this.#numbers.find(slot, part);
    if (number === UNKNOWN) return;
    const { requested, unit } = this.#columns;
    (requested[number * ROW + OFFERED] as number) += unit[number] as number;
    (requested[number * ROW + ASKS] as number) += 1;
  }

  /** What the tenant may take here, now: the limit itself when there is nobody else. Valid until the next call. */
  rate(slot: TenantIndex, limit: Rate, part: number = REQUESTS): Rate {
    if (this.#others.isNobody) return limit;
    const number = this.#numbers.find(slot, part);
    if (number === UNKNOWN) {
      this.#rate.perSec = (limit.perSec * this.#others.part) / this.#others.members;
      this.#rate.burst = Math.max(1, limit.burst / this.#others.members);
    } else {
      this.#rate.perSec = this.#columns.requested[number * ROW + SHARE] as number;
      this.#rate.burst = this.#columns.requested[number * ROW + TOLERANCE] as number;
    }
    return this.#rate;
  }

  /** The part of a tenant's strict limit that is this sidecar's alone; a burst of 0: none. Valid until the next call. */
  strictPart(tenant: string, limit: Rate): StrictPart {
    return this.#strict.take(tenant, limit, this.#self, this.#others.electorate);
  }

  get now(): number {
    return this.#clock.now();
  }

  /** The others take our parts over once they hear that we leave: from now on no strict limit admits anything. */
  leave(): void {
    this.#strict.leave();
  }

  /** Whether `cost` can be taken from the fleet's bucket, beyond the share. */
  canBorrow(slot: TenantIndex, cost: number, part: number = REQUESTS): boolean {
    return this.lent(slot, part) >= cost;
  }

  /** Units that can be taken from it; alone there is none. */
  lent(slot: TenantIndex, part: number = REQUESTS): number {
    return this.#others.isNobody ? 0 : (this.#columns.requested[this.#numbers.find(slot, part) * ROW + BORROW] ?? 0);
  }

  borrow(slot: TenantIndex, cost: number, part: number = REQUESTS): void {
    (this.#columns.requested[this.#numbers.find(slot, part) * ROW + BORROW] as number) -= cost;
  }

  /** Notes that `cost` was admitted. */
  admit(slot: TenantIndex, cost: number, part: number = REQUESTS): void {
    const number = this.#numbers.find(slot, part);
    if (number !== UNKNOWN) (this.#columns.requested[number * ROW + ADMITTED] as number) += cost;
  }

  /** What is left in the fleet's bucket, the same on all sidecars as far as they know; undefined: this sidecar is alone, or has not seen the tenant. */
  level(slot: TenantIndex, part: number = REQUESTS): number | undefined {
    const number = this.#numbers.find(slot, part);
    if (this.#others.isNobody || number === UNKNOWN) return undefined;
    // What was admitted since the last tick is not in it yet.
    return (this.#columns.level[number] as number) - (this.#columns.requested[number * ROW + ADMITTED] as number);
  }

  /** Who takes which share of it; undefined where there is no level. */
  explain(slot: TenantIndex, part: number = REQUESTS): FleetExplanation | undefined {
    const level = this.level(slot, part);
    return level === undefined ? undefined : explainShares(this.#explained, this.#numbers.find(slot, part), level);
  }

  /** The same of a strict limit, of whose parts none follows from what is asked for. */
  explainStrict(slot: TenantIndex, tenant: string, limit: Rate): FleetExplanation {
    const number = this.#numbers.find(slot, REQUESTS);
    return explainParts(this.#explained, number, { tenant, limit, self: this.#self });
  }

  /** What a member is known to have admitted of a limit, units; for a simulator that knows the truth. */
  admittedBy(member: number, name: string): number {
    const number = this.#numbers.byName(name);
    if (number === undefined) return 0;
    return member === 0 ? (this.#columns.admitted[number] as number) : this.#others.admittedBy(member, number);
  }

  /** The tenant left, or its slot is another's. */
  forget(slot: TenantIndex): void {
    this.#numbers.forgetSlot(slot);
  }

  /** The part, a route, is gone, or its index is another's. */
  forgetPart(part: number): void {
    this.#numbers.forgetPart(part);
  }

  /** Whether a tick is not done: the rest is for the next turns of the loop. */
  get isBehind(): boolean {
    return this.#ticks.isBehind;
  }

  /**
   * Every `TICK_MS`, and again in the next turn of the loop while `isBehind`: shares are taken anew, and rows written for what the others
   * should know. True when it should reach them at once.
   */
  tick(): boolean {
    if (!this.isBehind) {
      if (!this.#ticks.begin()) return false;
      this.#others.recount();
      this.#strict.look(this.#others.electorate);
    }
    return this.#ticks.turn();
  }

  version(member: number): number {
    return member === 0 ? this.#own.log.version : this.#others.version(member);
  }

  write(member: number, after: number, bytes: Uint8Array, offset: number, end: number): Written {
    return member === 0
      ? this.#own.log.write(after, this.#clock.now(), bytes, offset, end)
      : this.#others.write(member, after, bytes, offset, end);
  }

  read(member: number, after: number, upTo: number, bytes: Uint8Array): boolean {
    return this.#others.read(member, after, upTo, bytes);
  }

  onMember(member: Member): void {
    if (member.slot === 0) this.#self = member.incarnation;
    else this.#others.onMember(member);
  }

  onForgotten(slot: number): void {
    this.#others.onForgotten(slot);
  }

  /** A limit that is new here, or changed: what was spent of it stays spent, up to the new burst, and shares stay in proportion. */
  #setLimit(number: number, { perSec, burst }: Rate): void {
    const { requested, level } = this.#columns;
    const at = number * ROW;
    const before = requested[at + PER_SEC] as number;
    if (before === 0) this.#begin(number, perSec, burst);
    else {
      const burstBefore = requested[at + BURST] as number;
      const left = level[number] as number;
      level[number] = burst < burstBefore ? Math.min(burst, left) : left + burst - burstBefore;
      (requested[at + SHARE] as number) *= perSec / before;
      requested[at + TOLERANCE] = Math.max(1, ((requested[at + TOLERANCE] as number) * burst) / burstBefore);
      requested[at + BORROW] = Math.min(requested[at + BORROW] as number, burst);
    }
    requested[at + PER_SEC] = perSec;
    requested[at + BURST] = burst;
  }

  #begin(number: number, perSec: number, burst: number): void {
    const { requested, level, tickedAt } = this.#columns;
    const at = number * ROW;
    const now = this.#clock.now();
    const isIdle = this.#others.demand(number) === 0;
    // Each who joins must not bring a whole burst to a fleet that is at its limit.
    const left = isIdle ? burst : burst / 2;
    level[number] = left;
    this.#others.admittedSince(number, now);
    tickedAt[number] = now;
    requested[at + SHARE] = (perSec * this.#others.part) / this.#others.members;
    requested[at + TOLERANCE] = Math.max(1, burst / this.#others.members);
    requested[at + BORROW] = isIdle ? left / this.#others.members : 0;
  }

  /** `UNKNOWN` when there is no room: then each member takes an equal part of the limit. */
  #take(name: string): number {
    const number = this.#numbers.take(name);
    if (number < this.#columns.admitted.length) return number;
    const room = roomFor(number + 1);
    enlarge(this.#columns, room);
    this.#others.reserve(room);
    return number;
  }
}

function nameOf(tenant: string, part: number, route: string): string {
  if (part === REQUESTS) return tenant;
  return part === EGRESS ? `${tenant} egress` : `${tenant} route ${route}`;
}
