// hot path
/**
 * What each tenant has spent, banked and has in flight: typed arrays by tenant index that survive every reload. `owner` says
 * whose slot it is: a slot that changed hands starts empty. Each life of a slot has a number of its own, the permit: what is given back
 * late, for a life that ended, changes nothing, even when the same tenant came back.
 */
import type { RequestRate, Tenant } from '../tenants/index.ts';
import { enlarged, Gcra } from './gcra.ts';

/** A tenant is over its limit persistently after this long, ms. */
const UP_MS = 1000;
/** And not any more after this long without a request over it. */
const DOWN_MS = 5000;

export class LimitState {
  readonly requests: Gcra = new Gcra(0);
  readonly egress: Gcra = new Gcra(0);
  /** Degraded admissions: a second allowance of the same rate, so that a flood is not served degraded without end. */
  readonly degraded: Gcra = new Gcra(0);
  /** Route limits by route index. */
  readonly #routes: (Gcra | undefined)[] = [];
  readonly #owners: (string | undefined)[] = [];
  #slots = 0;
  #lives = 0;
  #life: Float64Array = new Float64Array(0);
  #inFlight: Float64Array = new Float64Array(0);
  #waiting: Float64Array = new Float64Array(0);
  #credit: Float64Array = new Float64Array(0);
  #creditAt: Float64Array = new Float64Array(0);
  #overSince: Float64Array = new Float64Array(0);
  #overLast: Float64Array = new Float64Array(0);

  /** Makes the slot the tenant's own. Cheap when it is already. */
  claim(tenant: Tenant, now: number): void {
    if (this.#owners[tenant.index] === tenant.id) return;
    if (tenant.index >= this.#slots) this.#grow(tenant.index + 1);
    this.forget(tenant.index);
    this.#owners[tenant.index] = tenant.id;
    this.#life[tenant.index] = ++this.#lives;
    this.#creditAt[tenant.index] = now;
  }

  /** Whether the slot still lives the life in which the permit was given. */
  isAlive(slot: number, permit: number): boolean {
    return this.#life[slot] === permit;
  }

  forget(slot: number): void {
    if (slot >= this.#slots) return;
    this.#owners[slot] = undefined;
    for (const gcra of [this.requests, this.egress, this.degraded]) gcra.forget(slot);
    for (const gcra of this.#routes) gcra?.forget(slot);
    for (const array of [
      this.#life,
      this.#inFlight,
      this.#waiting,
      this.#credit,
      this.#creditAt,
      this.#overSince,
      this.#overLast,
    ])
      array[slot] = 0;
  }

  route(index: number): Gcra {
    const known = this.#routes[index];
    if (known !== undefined) return known;
    const fresh = new Gcra(this.#slots);
    this.#routes[index] = fresh;
    return fresh;
  }

  /** A route's name may mean another route now; its counts are not that one's. */
  forgetRoute(index: number): void {
    this.#routes[index] = undefined;
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
  credit(slot: number, rate: RequestRate, now: number): number {
    if (rate.credits === undefined) return 0;
    const idleMs = now - Math.max(this.requests.arrival(slot), this.#creditAt[slot] as number);
    const earned = idleMs > 0 ? (idleMs * rate.perSec * rate.credits.earn) / 1000 : 0;
    const credit = Math.min((this.#credit[slot] as number) + earned, rate.credits.capUnits);
    this.#credit[slot] = credit;
    this.#creditAt[slot] = now;
    return credit;
  }

  spendCredit(slot: number, units: number): void {
    (this.#credit[slot] as number) -= units;
  }

  /** Notes that a request was over the limit. */
  markOver(slot: number, now: number): void {
    const last = this.#overLast[slot] as number;
    if (last === 0 || (now - last > UP_MS && !this.isOverLong(slot, now))) this.#overSince[slot] = now;
    this.#overLast[slot] = now;
  }

  /**
   * Over for 1 s, and within the last 5 s: the application is told so with every request of the tenant. One burst does not tell it, and
   * a tenant at the edge of its limit does not make it flap.
   */
  isOverLong(slot: number, now: number): boolean {
    const last = this.#overLast[slot] as number;
    return last !== 0 && now - last < DOWN_MS && last - (this.#overSince[slot] as number) >= UP_MS;
  }

  #grow(slots: number): void {
    // A quarter more than asked for, so that a growing tenancy does not copy at every tenant.
    this.#slots = Math.ceil(slots * 1.25);
    for (const gcra of [this.requests, this.egress, this.degraded]) gcra.grow(this.#slots);
    for (const gcra of this.#routes) gcra?.grow(this.#slots);
    this.#life = enlarged(this.#life, this.#slots);
    this.#inFlight = enlarged(this.#inFlight, this.#slots);
    this.#waiting = enlarged(this.#waiting, this.#slots);
    this.#credit = enlarged(this.#credit, this.#slots);
    this.#creditAt = enlarged(this.#creditAt, this.#slots);
    this.#overSince = enlarged(this.#overSince, this.#slots);
    this.#overLast = enlarged(this.#overLast, this.#slots);
  }
}
