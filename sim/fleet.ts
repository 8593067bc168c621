/** A fleet of simulated sidecars before one tenant's requests, and what is done to it. */
import type { Tenant } from '../src/tenants/index.ts';
import { FAIR, SimNet, type Weather } from './net.ts';
import { Oracle } from './oracle.ts';
import type { Policy } from './policies.ts';
import type { Scenario } from './scenarios.ts';
import { SimSidecar } from './sidecar.ts';
import { addressOf, simTenant } from './tenant.ts';
import { SeededRandom, SimTime } from './time.ts';

/** The load of a sidecar is looked at anew this often, ms. */
const LOAD_MS = 50;
/** Truth is compared with belief this often, ms. */
const CHECK_MS = 100;
/** That of a zone of a cloud. */
const WEATHER: Weather = { ...FAIR, loss: 0.02, duplication: 0.005 };

export class SimFleet {
  readonly time = new SimTime();
  readonly random: SeededRandom;
  readonly net: SimNet;
  readonly oracle: Oracle;
  /** By place; a place whose sidecar is gone holds undefined. */
  readonly places: (SimSidecar | undefined)[] = [];
  /** What was admitted, by place, since the measuring began. */
  readonly admitted: number[] = [];
  readonly offered: number[] = [];
  /** What no run may show: seen once, it is an error of ours. */
  readonly violations: string[] = [];
  readonly #scenario: Scenario;
  readonly #policy: Policy;
  readonly #seeds = new Set<string>();
  /** All there ever were, by incarnation: their truth. */
  readonly #truth = new Map<string, SimSidecar>();
  /** The first is the one that is measured. */
  readonly #tenants: readonly Tenant[];
  #born = 0;

  constructor(scenario: Scenario, policy: Policy, seed: number) {
    const { limit, burst } = scenario;
    this.#scenario = scenario;
    this.#policy = policy;
    this.random = new SeededRandom(seed);
    this.net = new SimNet(this.time, this.random.fork(), WEATHER);
    this.oracle = new Oracle(limit, burst);
    const { others = 0 } = scenario;
    this.#tenants = Array.from({ length: 1 + others }, (_, index) => tenantOf(index, limit, burst));
  }

  run(): void {
    const { nodes, startApartMs = 5, events = [], seconds, othersPerSec = 0 } = this.#scenario;
    for (let place = 0; place < nodes; place++) {
      this.admitted.push(0);
      this.offered.push(0);
      this.time.at(place * startApartMs, () => this.start(place));
      this.time.at(1000, () => this.#serve(place));
    }
    if (othersPerSec > 0) this.time.at(1000, () => this.#serveOthers(othersPerSec));
    for (const { at, act } of events) this.time.at(at * 1000, () => act(this));
    this.#checkAgain();
    this.time.run(seconds * 1000);
  }

  /** A new sidecar in its place: a process of its own, whatever stood there before. */
  start(place: number): void {
    const name = `pod-${place}`;
    const address = addressOf(place);
    this.#seeds.add(address);
    const sidecar = new SimSidecar({
      net: this.net,
      random: this.random.fork(),
      policy: this.#policy,
      name: `${name}-${this.#born++}`,
      address,
      seeds: { isComplete: true, look: (done) => void this.time.after(1, () => done([...this.#seeds])) },
    });
    this.places[place] = sidecar;
    this.#truth.set(sidecar.gossip.self.incarnation, sidecar);
    sidecar.start();
  }

  /** The service's addresses no longer name it. */
  unlist(place: number): void {
    this.#seeds.delete(addressOf(place));
  }

  crash(place: number): void {
    this.places[place]?.crash();
    this.places[place] = undefined;
  }

  leave(place: number): void {
    const sidecar = this.places[place];
    this.places[place] = undefined;
    sidecar?.leave();
  }

  /** Of the sidecars there are, by place. */
  get addresses(): string[] {
    return this.places.map((_, place) => addressOf(place));
  }

  get bytesPerSidecarSec(): number {
    return this.net.sentBytes / this.places.length / this.#scenario.seconds;
  }

  #serve(place: number): void {
    const seconds = this.time.nowMs / 1000;
    const { load, limit, cost = 1, places = this.#scenario.nodes } = this.#scenario;
    const perSec = (load(seconds, place, places) * limit) / cost;
    // Each comes at random, whenever the last came.
    const gap = perSec > 0 ? (-Math.log(1 - this.random.float()) * 1000) / perSec : Number.POSITIVE_INFINITY;
    if (gap > LOAD_MS) {
      this.time.after(LOAD_MS, () => this.#serve(place));
      return;
    }
    this.time.after(gap, () => {
      this.#request(place, cost);
      this.#serve(place);
    });
  }

  /** One that comes to a sidecar that is not there, or not ready, goes to another, as a service's endpoints do. */
  #request(place: number, cost: number): void {
    let sidecar = this.places[place];
    if (sidecar?.isReady !== true || sidecar.process.isPaused) {
      const others = this.places.filter((each) => each?.isReady === true && !each.process.isPaused);
      sidecar = others[Math.floor(this.random.float() * others.length)];
    }
    if (sidecar === undefined) return;
    const isAdmitted = sidecar.offer(this.#tenants[0] as Tenant, cost);
    this.oracle.note(this.time.nowMs, cost, isAdmitted);
    (this.offered[place] as number) += cost;
    if (isAdmitted) (this.admitted[place] as number) += cost;
  }

  /** Of other tenants, each by chance, at any sidecar. */
  #serveOthers(perSec: number): void {
    this.time.after((-Math.log(1 - this.random.float()) * 1000) / perSec, () => {
      const tenant = this.#tenants[1 + Math.floor(this.random.float() * (this.#tenants.length - 1))] as Tenant;
      const sidecar = this.places[Math.floor(this.random.float() * this.places.length)];
      if (sidecar?.isReady) sidecar.offer(tenant, 1);
      this.#serveOthers(perSec);
    });
  }

  #checkAgain(): void {
    this.#check();
    this.time.after(CHECK_MS, () => this.#checkAgain());
  }

  /** Nobody believes more of anybody than that one did; nobody's own count falls. */
  #check(): void {
    const { id } = this.#tenants[0] as Tenant;
    for (const sidecar of this.places)
      for (const member of sidecar?.gossip.members() ?? []) {
        const truth = this.#truth.get(member.incarnation)?.admitted.get(id) ?? 0;
        const believed = sidecar?.fleet.admittedBy(member.slot, id) ?? 0;
        if (believed > truth + 1e-6)
          this.violations.push(`${sidecar?.name} believes ${believed} of ${member.name}, which admitted ${truth}`);
      }
  }
}

function tenantOf(index: number, perSec: number, burst: number): Tenant {
  return simTenant(`tenant-${index}`, index, {
    requests: { perSec, burst, credits: undefined, text: `${perSec}/s` },
    egress: undefined,
    concurrency: undefined,
    shadow: false,
    quotas: [],
  });
}
