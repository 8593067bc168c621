/** A fleet of simulated sidecars before one tenant's requests, and what is done to it. */
import { Keyring } from '../src/gossip/index.ts';
import type { Tenant } from '../src/tenants/index.ts';
import { Invariants, StrictMeter } from './invariants.ts';
import { FAIR, SimNet, type Weather } from './net.ts';
import { Oracle } from './oracle.ts';
import type { Policy } from './policies.ts';
import type { Scenario } from './scenarios.ts';
import { SimSidecar } from './sidecar.ts';
import { addressOf, simTenant } from './tenant.ts';
import { SeededRandom, SimTime } from './time.ts';
import { Views } from './views.ts';

/** The load of a sidecar is looked at anew this often, ms. */
const LOAD_MS = 50;
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
  readonly invariants: Invariants;
  readonly views: Views;
  /** What the seeds answer instead of `listed`. */
  dns: readonly string[] | undefined;
  readonly #scenario: Scenario;
  readonly #policy: Policy;
  readonly #seeds = new Set<string>();
  /** The first is the one that is measured. */
  readonly #tenants: readonly Tenant[];
  /** Of the one that is measured, if its limit is strict. */
  readonly #strict: StrictMeter | undefined;
  #born = 0;

  constructor(scenario: Scenario, policy: Policy, seed: number) {
    const { limit, burst } = scenario;
    this.#scenario = scenario;
    this.#policy = policy;
    this.random = new SeededRandom(seed);
    this.net = new SimNet(this.time, this.random.fork(), WEATHER);
    this.oracle = new Oracle(limit, burst);
    this.invariants = new Invariants(() => this.time.nowMs);
    this.views = new Views({
      ...{ invariants: this.invariants, net: this.net },
      viewers: () => this.places.filter((each) => each !== undefined),
      isBlind: () => this.dns !== undefined,
    });
    const { others = 0, isStrict = false } = scenario;
    this.#strict = isStrict ? new StrictMeter(limit, burst) : undefined;
    this.#tenants = Array.from({ length: 1 + others }, (_, index) => tenantOf(index, limit, burst, isStrict));
  }

  /** Until the end, or until something was seen that no run may show. */
  run(): void {
    const { nodes, startApartMs = 5, events = [], seconds, othersPerSec = 0 } = this.#scenario;
    for (let place = 0; place < nodes; place++) {
      this.admitted.push(0);
      this.offered.push(0);
      this.time.at(place * startApartMs, () => this.start(place));
      this.time.at(1000, () => this.#serve(place));
    }
    if (othersPerSec > 0) this.time.at(1000, () => this.#serveOthers(othersPerSec));
    this.views.watch();
    for (const { at, act } of events) this.time.at(at * 1000, () => act(this));
    this.time.runUntil(() => this.invariants.violation !== undefined, seconds * 1000);
  }

  /** A new sidecar in its place: a process of its own, whatever stood there before. */
  start(place: number): void {
    const { partition = 'hold', keys, skewMs = () => 0 } = this.#scenario;
    const name = `pod-${place}`;
    const address = addressOf(place);
    this.#seeds.add(address);
    const sidecar = new SimSidecar({
      net: this.net,
      random: this.random.fork(),
      policy: this.#policy,
      name: `${name}-${this.#born++}`,
      address,
      seeds: { isComplete: true, look: (done) => void this.time.after(1, () => done(this.dns ?? this.listed)) },
      partition,
      keyring: keys && new Keyring(keys),
    });
    sidecar.process.skewMs = skewMs(this.random);
    this.places[place] = sidecar;
    this.invariants.watchRates(sidecar, this.#tenants);
    this.views.add(sidecar);
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

  /** Addresses of the service. */
  get listed(): string[] {
    return [...this.#seeds];
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
    const { load, limit, places = this.#scenario.nodes } = this.#scenario;
    const perSec = load(seconds, place, places) * limit;
    // Each comes at random, whenever the last came.
    const gap = perSec > 0 ? (-Math.log(1 - this.random.float()) * 1000) / perSec : Number.POSITIVE_INFINITY;
    if (gap > LOAD_MS) {
      this.time.after(LOAD_MS, () => this.#serve(place));
      return;
    }
    this.time.after(gap, () => {
      this.#request(place);
      this.#serve(place);
    });
  }

  /** One that comes to a sidecar that is not there, or not ready, goes to another, as a service's endpoints do. */
  #request(place: number): void {
    let sidecar = this.places[place];
    if (sidecar?.isReady !== true || sidecar.process.isPaused) {
      const others = this.places.filter((each) => each?.isReady === true && !each.process.isPaused);
      sidecar = others[Math.floor(this.random.float() * others.length)];
    }
    if (sidecar === undefined) return;
    const isAdmitted = this.#offer(sidecar, this.#tenants[0] as Tenant);
    this.oracle.note(this.time.nowMs, isAdmitted);
    (this.offered[place] as number) += 1;
    if (!isAdmitted) return;
    (this.admitted[place] as number) += 1;
    const { limit, burst } = this.#scenario;
    if (this.#strict?.admit(this.time.nowMs) === false)
      this.invariants.broke(`${sidecar.name} admitted more than a strict ${limit}/s with a burst of ${burst}`);
  }

  /** Of other tenants, each by chance, at any sidecar. */
  #serveOthers(perSec: number): void {
    this.time.after((-Math.log(1 - this.random.float()) * 1000) / perSec, () => {
      const tenant = this.#tenants[1 + Math.floor(this.random.float() * (this.#tenants.length - 1))] as Tenant;
      const sidecar = this.places[Math.floor(this.random.float() * this.places.length)];
      if (sidecar?.isReady) this.#offer(sidecar, tenant);
      this.#serveOthers(perSec);
    });
  }

  #offer(sidecar: SimSidecar, tenant: Tenant): boolean {
    if (!sidecar.offer(tenant)) return false;
    this.invariants.truth.add(sidecar.gossip.self.incarnation, tenant.id, 1);
    return true;
  }
}

function tenantOf(index: number, perSec: number, burst: number, isStrict: boolean): Tenant {
  return simTenant(`tenant-${index}`, index, {
    requests: { perSec, burst, credits: undefined, text: `${perSec}/s`, isStrict },
    egress: undefined,
    concurrency: undefined,
    shadow: false,
    quotas: [],
  });
}
