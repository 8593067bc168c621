// hot path
/**
 * What each tenant has spent, banked and has in flight: typed arrays by tenant index that survive every reload. `owner` says
 * whose slot it is: a slot that changed hands starts empty. Each life of a slot has a number of its own, the permit: what is given back
 * late, for a life that ended, changes nothing, even when the same tenant came back.
 */
import type { TenantIndex } from '../core/index.ts';
import type { ByteRate, RequestRate, Route, Tenant } from '../tenants/index.ts';
import { enlarged, enlargedInts } from './arrays.ts';
import type { FleetRates } from './fleet/fleet-rates.ts';
import { EGRESS, REQUESTS, ROUTE } from './fleet/limit-numbers.ts';
import { Gcra, isSameRate, type Rate } from './gcra.ts';
import { Hysteresis } from './hysteresis.ts';
import { RouteCounts } from './route-counts.ts';

export class LimitState {
  /** What the whole fleet takes; undefined: this sidecar is alone. */
  readonly fleet: FleetRates | undefined;
  readonly requests: Gcra = new Gcra(0);
  readonly egress: Gcra = new Gcra(0);
  /** Degraded admissions: a second allowance of the same rate, so that a flood is not served degraded without end. */
  readonly degraded: Gcra = new Gcra(0);
  /** Deprioritised admissions: the same of its own, spent before anything is degraded. */
  readonly deprioritized: Gcra = new Gcra(0);
  /** Over a limit for long. One burst is not told to the application, and a tenant at the edge of its limit does not make it flap. */
  readonly over: Hysteresis = new Hysteresis();
  /** On the rungs that spend `degraded`, and on the one that spends `deprioritized`. Who is on one was over for as long. */
  readonly staysDegraded: Hysteresis = new Hysteresis();
  readonly staysDeprioritized: Hysteresis = new Hysteresis();
  /** By route index and tenant index. */
  readonly routes: RouteCounts = new RouteCounts();
  /** As of the newest generation. */
  readonly #owners: (Tenant | undefined)[] = [];
  #slots = 0;
  #lives = 0;
  #life: Int32Array = new Int32Array(0);
  /** The generation that gave the slot its owner, or took it away. */
  #generation: Int32Array = new Int32Array(0);
  #inFlight: Int32Array = new Int32Array(0);
  #waiting: Int32Array = new Int32Array(0);
  /** From when somebody may bank something. */
  #credit: Float64Array = new Float64Array(0);
  #creditAt: Float64Array = new Float64Array(0);
  /** Of a strict limit, from when somebody has one: the burst that was ours when it was last asked for, + 1; 0: it never was. */
  #strictBurst: Float64Array = new Float64Array(0);
  /** Then also its rate, and how often parts had been cut. */
  #strictPerSec: Float64Array = new Float64Array(0);
  #strictCuts: Float64Array = new Float64Array(0);
  /** Filled anew for each. */
  readonly #bytes: { perSec: number; burst: number } = { perSec: 0, burst: 0 };
  readonly #units: { perSec: number; burst: number } = { perSec: 0, burst: 0 };

  constructor(fleet?: FleetRates) {
    this.fleet = fleet;
  }

  /** Notes what a request asks for. Before anything else in a request. */
  offer(tenant: Tenant, route: Route | undefined): void {
    const { fleet } = this;
    if (fleet === undefined) return;
    const { requests } = tenant.allowance;
    if (requests !== undefined) fleet.offer(tenant, requests, route?.cost ?? 1);
    if (requests?.isStrict === true) this.#settleStrict(tenant, requests, fleet);
    if (route?.rate !== undefined) fleet.offer(tenant, route.rate, 1, ROUTE + route.index, route.name);
  }

  /** The part of a tenant's limit that may be taken here: of its requests, or of a route's. Valid until the next call. */
  here(slot: TenantIndex, limit: Rate, part: number = REQUESTS): Rate {
    if (this.fleet === undefined) return limit;
    if (limit.isStrict === true) return this.fleet.strictPart(this.#owners[slot]?.id as string, limit);
    return this.fleet.rate(slot, limit, part);
  }

  /** Whether the fleet's bucket lends it; a strict limit's is nobody's alone. */
  canBorrow(slot: TenantIndex, limit: Rate, cost: number): boolean {
    return limit.isStrict !== true && this.fleet?.canBorrow(slot, cost) === true;
  }

  /** Units that the fleet's bucket lends beyond the part here, at most in one request and in all. */
  lent(slot: TenantIndex, limit: Rate, part: number = REQUESTS): number {
    return limit.isStrict === true || this.fleet === undefined ? 0 : this.fleet.lent(slot, part);
  }

  /**
   * What our part of a strict limit grew by is empty, and so is all of it where nobody can say what became of it: when it became ours, and
   * when parts were cut more than once since it was last asked for. Until it was cut, it drained at no more than the smaller of both rates.
   */
  #settleStrict({ index, id }: Tenant, limit: Rate, fleet: FleetRates): void {
    if (index >= this.#strictBurst.length) this.#openStrict();
    const part = fleet.strictPart(id, limit);
    const before = this.#strictBurst[index] as number;
    const perSec = this.#strictPerSec[index] as number;
    const cuts = part.cuts - (this.#strictCuts[index] as number);
    if (part.burst + 1 === before && part.perSec === perSec && cuts === 0) return;
    this.#strictBurst[index] = part.burst + 1;
    this.#strictPerSec[index] = part.perSec;
    this.#strictCuts[index] = part.cuts;
    const isKnown = before !== 0 && cuts <= 1;
    const units = isKnown ? Math.max(0, part.burst + 1 - before) : part.burst;
    // A limit that was reloaded is another from now on; one that was cut anew since then.
    const since = cuts === 0 ? fleet.now : part.since;
    this.requests.change(index, isKnown ? Math.min(perSec, part.perSec) : 0, part.burst, since, units);
  }

  /** The same of response bytes. */
  egressHere(slot: TenantIndex, limit: ByteRate): Rate {
    const bytes = this.#bytes;
    const units = this.here(slot, this.#unitsOf(limit), EGRESS);
    bytes.perSec = units.perSec * EGRESS_UNIT;
    bytes.burst = units.burst * EGRESS_UNIT;
    return bytes;
  }

  /** Response bytes that were sent, asked for and admitted at once. */
  tellEgress(tenant: Tenant, limit: ByteRate, bytes: number): void {
    this.fleet?.offer(tenant, this.#unitsOf(limit), bytes / EGRESS_UNIT, EGRESS);
    this.fleet?.admit(tenant.index, bytes / EGRESS_UNIT, EGRESS);
  }

  #unitsOf({ bytesPerSec }: ByteRate): Rate {
    const units = this.#units;
    units.perSec = bytesPerSec / EGRESS_UNIT;
    units.burst = (bytesPerSec * EGRESS_BURST_SEC) / EGRESS_UNIT;
    return units;
  }

  /**
   * Makes the slot the tenant's own. Cheap when it is already. False when a later generation has taken the slot from this tenant: a
   * request that began before must not empty what is another's now.
   */
  claim(tenant: Tenant, generation: number, now: number): boolean {
    const { index } = tenant;
    if (this.#owners[index] === tenant) return true;
    if (this.#owners[index]?.id === tenant.id) return true;
    if (index >= this.#slots) this.reserve(index + 1);
    if (generation < (this.#generation[index] as number)) return false;
    this.forget(index, generation);
    this.#owners[index] = tenant;
    this.#life[index] = ++this.#lives;
    if (index < this.#creditAt.length) this.#creditAt[index] = now;
    return true;
  }

  /** Who has spent anything since the slot is theirs. */
  *owners(): Generator<string> {
    for (const owner of this.#owners) if (owner !== undefined) yield owner.id;
  }

  isOwner({ index, id }: Tenant): boolean {
    return this.#owners[index]?.id === id;
  }

  /** Of a slot that is somebody's: see `isAlive`. */
  life(slot: number): number {
    return this.#life[slot] as number;
  }

  /** Whether the slot still lives the life in which the permit was given. */
  isAlive(slot: number, permit: number): boolean {
    return this.#life[slot] === permit;
  }

  /** Empties a slot. `generation`: the one in which its tenant is gone. */
  forget(slot: TenantIndex, generation: number): void {
    this.#owners[slot] = undefined;
    this.#generation[slot] = generation;
    this.fleet?.forget(slot);
    this.requests.forget(slot);
    this.egress.forget(slot);
    this.degraded.forget(slot);
    this.deprioritized.forget(slot);
    this.over.forget(slot);
    this.staysDegraded.forget(slot);
    this.staysDeprioritized.forget(slot);
    this.routes.forget(slot);
    this.#life[slot] = 0;
    this.#inFlight[slot] = 0;
    this.#waiting[slot] = 0;
    if (slot < this.#credit.length) this.#credit[slot] = 0;
    if (slot >= this.#strictBurst.length) return;
    this.#strictBurst[slot] = 0;
    this.#strictPerSec[slot] = 0;
    this.#strictCuts[slot] = 0;
  }

  /** A tenant's limits change with the generation that comes now. */
  settle(before: Tenant, after: Tenant, now: number): void {
    if (!this.isOwner(after)) return;
    const { index } = after;
    this.#owners[index] = after;
    const was = before.allowance;
    const is = after.allowance;
    // What was idle until now is banked as it was promised; where nothing was promised, nothing is banked for it later.
    if (was.requests?.credits === undefined) {
      if (index < this.#creditAt.length) this.#creditAt[index] = now;
    } else this.credit(index, was.requests, now);
    // Until now it drained at the part that was taken here.
    const drained = was.requests && { perSec: this.here(index, was.requests).perSec, burst: was.requests.burst };
    settle(this.requests, index, drained, is.requests, now);
    settle(this.degraded, index, was.requests, is.requests, now);
    settle(this.deprioritized, index, was.requests, is.requests, now);
    const drainedBytes = was.egress && {
      perSec: this.egressHere(index, was.egress).perSec,
      burst: egressRate(was.egress).burst,
    };
    settle(this.egress, index, drainedBytes, is.egress && egressRate(is.egress), now);
  }

  inFlight(slot: number): number {
    return this.#inFlight[slot] as number;
  }

  /** The permit to give back. */
  enter(slot: number): number {
    (this.#inFlight[slot] as number) += 1;
    return this.#life[slot] as number;
  }

  leave(slot: number): void {
    (this.#inFlight[slot] as number) -= 1;
  }

  waiting(slot: number): number {
    return this.#waiting[slot] as number;
  }

  changeWaiting(slot: number, by: 1 | -1): void {
    (this.#waiting[slot] as number) += by;
  }

  /** Banked units now. While the bucket is full, `earn` of what flows past it is banked, up to the cap. */
  credit(slot: TenantIndex, rate: RequestRate, now: number): number {
    if (rate.credits === undefined) return 0;
    if (slot >= this.#credit.length) this.#openBank(now);
    // Of a fleet's bank each sidecar holds an equal part.
    const part = this.fleet === undefined ? 1 : 1 / this.fleet.members;
    const idleMs =
      now - Math.max(this.requests.fullAt(slot, this.here(slot, rate).perSec), this.#creditAt[slot] as number);
    const earned = idleMs > 0 ? (idleMs * rate.perSec * part * rate.credits.earn) / 1000 : 0;
    const banked = this.#credit[slot] as number;
    const credit = Math.max(
      Math.min(banked, rate.credits.capUnits),
      Math.min(banked + earned, rate.credits.capUnits * part),
    );
    this.#credit[slot] = credit;
    this.#creditAt[slot] = now;
    return credit;
  }

  /** Until now nothing was promised to anybody. */
  #openBank(now: number): void {
    const known = this.#creditAt.length;
    this.#credit = enlarged(this.#credit, this.#slots);
    this.#creditAt = enlarged(this.#creditAt, this.#slots).fill(now, known);
  }

  spendCredit(slot: number, units: number): void {
    (this.#credit[slot] as number) -= units;
  }

  /** Room for so many slots. On a swap, so that no request pays for it. */
  reserve(slots: number): void {
    if (slots <= this.#slots) return;
    // A quarter more than asked for, so that a growing tenancy does not copy at every tenant; what is there at the start grows seldom.
    this.#slots = this.#slots === 0 ? slots : Math.ceil(slots * 1.25);
    this.requests.grow(this.#slots);
    this.egress.grow(this.#slots);
    this.degraded.grow(this.#slots);
    this.deprioritized.grow(this.#slots);
    this.over.grow(this.#slots);
    this.staysDegraded.grow(this.#slots);
    this.staysDeprioritized.grow(this.#slots);
    this.routes.reserve(this.#slots);
    this.#life = enlargedInts(this.#life, this.#slots);
    this.#generation = enlargedInts(this.#generation, this.#slots);
    this.#inFlight = enlargedInts(this.#inFlight, this.#slots);
    this.#waiting = enlargedInts(this.#waiting, this.#slots);
    if (this.#strictBurst.length > 0) this.#openStrict();
  }

  #openStrict(): void {
    this.#strictBurst = enlarged(this.#strictBurst, this.#slots);
    this.#strictPerSec = enlarged(this.#strictPerSec, this.#slots);
    this.#strictCuts = enlarged(this.#strictCuts, this.#slots);
  }
}

function settle(gcra: Gcra, slot: number, before: Rate | undefined, after: Rate | undefined, now: number): void {
  if (after === undefined) gcra.forget(slot);
  else if (before !== undefined && !isSameRate(before, after)) gcra.settle(slot, before, after, now);
}

/** Bytes in one unit of the fleet's: what is said of a rate goes up to 32 million units a second. */
const EGRESS_UNIT = 1024;
/** Response bytes that may go at once, in seconds of the egress rate. */
const EGRESS_BURST_SEC = 1;

export function egressRate({ bytesPerSec }: ByteRate): Rate {
  return { perSec: bytesPerSec, burst: bytesPerSec * EGRESS_BURST_SEC };
}
