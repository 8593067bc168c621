/** A fleet of simulated sidecars before one tenant's requests, and what is done to it. */
import type { TenantId, TenantIndex } from '../src/core/index.ts';
import type { Plan, Tenant } from '../src/tenants/index.ts';
import { Chance } from './chance.ts';
import { Network } from './net.ts';
import { Oracle } from './oracle.ts';
import type { Policy } from './policies.ts';
import type { Scenario } from './scenarios.ts';
import { SimSidecar } from './sidecar.ts';
import { VirtualTime } from './time.ts';

/** The load of a sidecar is looked at anew this often, ms. */
const LOAD_MS = 50;
/** Truth is compared with belief this often, ms. */
const CHECK_MS = 100;

export class SimFleet {
  readonly time = new VirtualTime();
  readonly chance: Chance;
  readonly network: Network;
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
  readonly #seeds: string[] = [];
  /** All there ever were, by incarnation: their truth. */
  readonly #truth = new Map<string, SimSidecar>();
  readonly #tenant: Tenant;
  #born = 0;

  constructor(scenario: Scenario, policy: Policy, seed: number) {
    const { limit, burst } = scenario;
    this.#scenario = scenario;
    this.#policy = policy;
    this.chance = new Chance(seed);
    this.network = new Network(this.time, this.chance);
    this.oracle = new Oracle(limit, burst);
    const requests = { perSec: limit, burst, credits: undefined, text: `${limit}/s` };
    const allowance = { requests, egress: undefined, concurrency: undefined, shadow: false };
    const plan: Plan = { name: 'plan', index: 0, weight: 1, allowance, ladder: [{ kind: 'reject' }], source: '' };
    this.#tenant = {
      id: 'acme' as TenantId,
      index: 0 as TenantIndex,
      state: 'active',
      plan,
      allowance,
      timezone: 'UTC',
      labels: {},
      claims: ['acme'],
      hosts: [],
      apiKeys: [],
      source: '',
    };
  }

  run(): void {
    const { nodes, startApartMs = 5, events = [], seconds } = this.#scenario;
    for (let place = 0; place < nodes; place++) {
      this.admitted.push(0);
      this.offered.push(0);
      this.time.at(place * startApartMs, () => this.start(place));
      this.time.at(1000, () => this.#serve(place));
    }
    for (const { at, act } of events) this.time.at(at * 1000, () => act(this));
    this.time.timers.every(CHECK_MS, () => this.#check());
    this.time.runUntil(seconds * 1000);
  }

  /** A new sidecar in its place: a process of its own, whatever stood there before. */
  start(place: number): void {
    const name = `pod-${place}`;
    const address = `10.0.${place >> 8}.${place & 255}:7946`;
    if (!this.#seeds.includes(address)) this.#seeds.push(address);
    const sidecar = new SimSidecar({
      time: this.time,
      chance: this.chance,
      network: this.network,
      policy: this.#policy,
      name: `${name}-${this.#born++}`,
      address,
      seeds: { isComplete: true, look: (done) => void this.time.at(this.time.now + 1, () => done([...this.#seeds])) },
      tenant: this.#tenant,
    });
    this.places[place] = sidecar;
    this.#truth.set(sidecar.gossip.self.incarnation, sidecar);
    sidecar.start();
  }

  /** The service's addresses no longer name it. */
  unlist(place: number): void {
    const address = this.places[place]?.address;
    this.#seeds.splice(0, Number.POSITIVE_INFINITY, ...this.#seeds.filter((each) => each !== address));
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

  get bytesPerSidecarSec(): number {
    return this.network.bytes / this.places.length / this.#scenario.seconds;
  }

  #serve(place: number): void {
    const seconds = this.time.now / 1000;
    const { load, limit, cost = 1, places = this.#scenario.nodes } = this.#scenario;
    const perSec = (load(seconds, place, places) * limit) / cost;
    const gap = perSec > 0 ? this.chance.gapMs(perSec) : Number.POSITIVE_INFINITY;
    if (gap > LOAD_MS) {
      this.time.at(this.time.now + LOAD_MS, () => this.#serve(place));
      return;
    }
    this.time.at(this.time.now + gap, () => {
      this.#request(place, cost);
      this.#serve(place);
    });
  }

  /** One that comes to a sidecar that is not there, or not ready, goes to another, as a service's endpoints do. */
  #request(place: number, cost: number): void {
    let sidecar = this.places[place];
    if (sidecar?.isReady !== true || sidecar.isPaused) {
      const others = this.places.filter((each) => each?.isReady === true && !each.isPaused);
      sidecar = others[this.chance.below(others.length)];
    }
    if (sidecar === undefined) return;
    const isAdmitted = sidecar.offer(cost);
    this.oracle.note(this.time.now, cost, isAdmitted);
    (this.offered[place] as number) += cost;
    if (isAdmitted) (this.admitted[place] as number) += cost;
  }

  /** Nobody believes more of anybody than that one did; nobody's own count falls. */
  #check(): void {
    for (const sidecar of this.places)
      for (const member of sidecar?.gossip.members() ?? []) {
        const truth = this.#truth.get(member.incarnation)?.admitted ?? 0;
        const believed = sidecar?.fleet.admittedBy(member.slot, this.#tenant.id) ?? 0;
        if (believed > truth + 1e-6)
          this.violations.push(`${sidecar?.name} believes ${believed} of ${member.name}, which admitted ${truth}`);
      }
  }
}
