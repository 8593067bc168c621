/** A fleet of simulated sidecars before one tenant with a quota, and what is done to it. */
import { emptySnapshot, type Snapshot, type Tenant } from '../src/tenants/index.ts';
import { SimDisk } from './disk.ts';
import { Invariants } from './invariants.ts';
import { FAIR, SimNet, type Weather } from './net.ts';
import type { QuotaRule } from './policies.ts';
import { QuotaSidecar } from './quota-sidecar.ts';
import { addressOf, quotaTenant } from './tenant.ts';
import { EPOCH_MS, SeededRandom, SimTime } from './time.ts';
import { Views } from './views.ts';

export interface QuotaScenario {
  readonly name: string;
  readonly describe: string;
  readonly nodes: number;
  readonly isHard: boolean;
  readonly limit: number;
  /** Used already when the run begins, by somebody who is gone. */
  readonly used?: number;
  readonly seconds: number;
  /** Of all sidecars together, requests a second. */
  readonly perSec: number;
  /** The part of a place. */
  readonly part: (place: number, places: number, seconds: number) => number;
  /** Tenants beside the one that is measured, and their requests a second, of all together, each at any sidecar. */
  readonly others?: number;
  readonly othersPerSec?: number;
  readonly hasDisk?: boolean;
  /** Of a sidecar's wall clock when it starts, ms. */
  readonly skewMs?: (random: SeededRandom) => number;
  readonly startApartMs?: number;
  readonly events?: readonly QuotaEvent[];
  readonly measure: (fleet: QuotaFleet) => Readonly<Record<string, number>>;
}

/** s, and what is done then. */
export interface QuotaEvent {
  readonly at: number;
  readonly act: (fleet: QuotaFleet) => void;
}

export const DAY_MS = 86_400_000;
const METER = 'api_calls';
/** Who used what is used already. */
const GONE = 'a'.repeat(16);
const WEATHER: Weather = { ...FAIR, loss: 0.02, duplication: 0.005 };
/** Until then members find each other and rights are given out, s. */
export const WARM = 8;
/** Requests end so long before the run does, s: by then the last are told. */
const QUIET = 4;

/** Units that were asked for and admitted in a window, with those of somebody who is gone. */
interface Used {
  offered: number;
  admitted: number;
  readonly before: number;
}

export class QuotaFleet {
  readonly time = new SimTime();
  readonly random: SeededRandom;
  readonly net: SimNet;
  readonly places: (QuotaSidecar | undefined)[] = [];
  readonly scenario: QuotaScenario;
  readonly tenant: Tenant;
  readonly events: string[] = [];
  readonly invariants: Invariants;
  readonly #views: Views;
  /** By the day on which a window begins, as the clock of who was asked has it. */
  readonly windows = new Map<number, Used>();
  /** Of what was admitted by those that were killed, what may be lost with them. */
  atRisk = 0;
  /** Of each tenth of a second: percent of the limit used until then, in the window that was used most. */
  readonly usedPct: number[] = [];
  readonly #snapshot: Snapshot;
  readonly #others: readonly Tenant[];
  /** By place, where there are disks. */
  readonly disks: SimDisk[] = [];
  /** Who was started last, by place: it may still be leaving. */
  readonly #last: (QuotaSidecar | undefined)[] = [];
  readonly #seeds = new Set<string>();
  readonly #rule: QuotaRule;
  /** Of who spends an equal part: units by sidecar, of the window that is open. */
  readonly #spent = new WeakMap<QuotaSidecar, { readonly of: Used; units: number }>();
  #born = 0;
  #sentBefore = 0;

  constructor(scenario: QuotaScenario, seed: number, rule: QuotaRule = 'rights') {
    this.scenario = scenario;
    this.#rule = rule;
    this.random = new SeededRandom(seed);
    this.invariants = new Invariants(() => this.time.nowMs);
    this.net = new SimNet(this.time, this.random.fork(), WEATHER);
    this.#views = new Views({
      ...{ invariants: this.invariants, net: this.net },
      viewers: () => this.places.filter((each) => each !== undefined),
    });
    const tenants = Array.from({ length: 1 + (scenario.others ?? 0) }, (_, index) =>
      quotaTenant(METER, scenario, rule, index),
    );
    this.tenant = tenants[0] as Tenant;
    this.#others = tenants.slice(1);
    this.invariants.truth.add(GONE, this.tenant.id, scenario.used ?? 0);
    this.#snapshot = { ...emptySnapshot, generation: 1, tenants: new Map(tenants.map((each) => [each.id, each])) };
  }

  /** Until the end, or until something was seen that no run may show. */
  async run(): Promise<void> {
    const { nodes, startApartMs = 5, events = [], seconds } = this.scenario;
    for (let place = 0; place < nodes; place++) {
      this.#seeds.add(addressOf(place));
      this.time.at(place * startApartMs, () => this.start(place));
      this.time.at(WARM * 1000, () => this.#serve(place));
    }
    for (const { at, act } of events) this.time.at(at * 1000, () => act(this));
    if (this.#others.length > 0) this.time.at(WARM * 1000, () => this.#serveOthers());
    this.#views.watch();
    this.#draw();
    this.time.at(WARM * 1000, () => {
      this.#sentBefore = this.net.sentBytes;
    });
    await this.time.settleUntil(() => this.invariants.violation !== undefined, seconds * 1000);
  }

  start(place: number, isDiskKept = true): void {
    const { hasDisk = false, used = 0, skewMs = () => 0 } = this.scenario;
    const address = addressOf(place);
    this.#seeds.add(address);
    // Two never have one disk: whoever is not gone in time is killed.
    if (isDiskKept) this.#last[place]?.crash();
    const kept = isDiskKept ? this.disks[place] : undefined;
    const disk = hasDisk ? (kept ?? new SimDisk(this.random.fork())) : undefined;
    if (disk !== undefined) this.disks[place] = disk;
    const sidecar = new QuotaSidecar({
      net: this.net,
      random: this.random.fork(),
      name: `pod-${place}-${this.#born++}`,
      address,
      seeds: { isComplete: true, look: (done) => void this.time.after(1, () => done([...this.#seeds])) },
      snapshot: this.#snapshot,
      disk,
      onCrossed: (name, at) => void this.events.push(`${name} ${at}`),
    });
    sidecar.process.skewMs = skewMs(this.random);
    this.invariants.watchQuotas(sidecar, this.tenant.id, METER);
    this.#views.add(sidecar);
    if (used > 0)
      sidecar.fleet.counters.merge({
        tenant: this.tenant.id,
        meter: METER,
        day: this.#firstDay,
        actor: GONE,
        count: used,
        credit: 0,
      });
    this.places[place] = sidecar;
    this.#last[place] = sidecar;
    sidecar.start();
  }

  crash(place: number, of: 'process' | 'power' = 'process'): void {
    this.atRisk += this.places[place]?.crash(of) ?? 0;
    this.places[place] = undefined;
  }

  leave(place: number): void {
    const sidecar = this.places[place];
    this.places[place] = undefined;
    sidecar?.leave();
  }

  get addresses(): string[] {
    return this.places.map((_, place) => addressOf(place));
  }

  get admitted(): number {
    return this.#sum(({ admitted }) => admitted);
  }

  /** Units that all together used beyond the limit, in the worst window. */
  get exceeded(): number {
    return Math.max(0, ...[...this.windows.values()].map((each) => each.admitted + each.before - this.scenario.limit));
  }

  /** Of what was asked for and could have been admitted, percent that was. */
  get servedPct(): number {
    const could = this.#sum(({ offered, before }) => Math.min(offered, this.scenario.limit - before));
    return (100 * this.admitted) / could;
  }

  /** Units that were admitted and that somebody who is there does not know of. */
  get lost(): number {
    const { used = 0 } = this.scenario;
    const believed = this.places.flatMap((each) => (each?.isReady === true ? [each.believes(this.tenant)] : []));
    return this.admitted + used - Math.min(...believed);
  }

  #draw(): void {
    const { limit, used = 0 } = this.scenario;
    const most = Math.max(used, ...[...this.windows.values()].map(({ admitted, before }) => admitted + before));
    this.usedPct.push(Math.round((10_000 * most) / limit) / 100);
    this.time.after(100, () => this.#draw());
  }

  #sum(of: (used: Used) => number): number {
    return [...this.windows.values()].reduce((sum, each) => sum + of(each), 0);
  }

  /** On which the run begins, days since 1970. */
  get #firstDay(): number {
    return Math.floor(EPOCH_MS / DAY_MS);
  }

  #serve(place: number): void {
    const { perSec, part, nodes, seconds } = this.scenario;
    const now = this.time.nowMs / 1000;
    if (now > seconds - QUIET) return;
    const rate = perSec * part(place, nodes, now);
    // Each comes at random, whenever the last came; where none do it is looked again.
    const gap = rate > 0 ? (-Math.log(1 - this.random.float()) * 1000) / rate : 50;
    this.time.after(Math.min(gap, 50), () => {
      if (gap <= 50 && rate > 0) this.#request(place);
      this.#serve(place);
    });
  }

  #serveOthers(): void {
    const { othersPerSec = 1 } = this.scenario;
    this.time.after((-Math.log(1 - this.random.float()) * 1000) / othersPerSec, () => {
      const tenant = this.#others[Math.floor(this.random.float() * this.#others.length)] as Tenant;
      const sidecar = this.places[Math.floor(this.random.float() * this.places.length)];
      if (sidecar?.isReady === true) this.#offer(sidecar, tenant);
      this.#serveOthers();
    });
  }

  /** Bytes a second and sidecar since the requests began. */
  get bytesPerSidecarSec(): number {
    return (this.net.sentBytes - this.#sentBefore) / this.places.length / (this.scenario.seconds - WARM);
  }

  /** One that comes to a sidecar that is not there goes to another. */
  #request(place: number): void {
    let sidecar = this.places[place];
    if (sidecar?.isReady !== true) {
      const others = this.places.filter((each) => each?.isReady === true);
      sidecar = others[Math.floor(this.random.float() * others.length)];
    }
    if (sidecar === undefined) return;
    const used = this.#windowAt(sidecar);
    used.offered++;
    if (this.#rule === 'even' && !this.#takesPart(sidecar, used)) return;
    if (!this.#offer(sidecar, this.tenant)) return;
    used.admitted++;
    const { isHard, limit } = this.scenario;
    const all = used.admitted + used.before;
    if (isHard && this.#rule === 'rights' && all > limit)
      this.invariants.broke(`${sidecar.name} admitted unit ${all} of a hard quota of ${limit}`);
  }

  /** One unit of an equal part of what was left when the run began; who is started again begins anew. */
  #takesPart(sidecar: QuotaSidecar, of: Used): boolean {
    const known = this.#spent.get(sidecar);
    const spent = known?.of === of ? known : { of, units: 0 };
    this.#spent.set(sidecar, spent);
    const { limit, nodes } = this.scenario;
    return ++spent.units <= (limit - of.before) / nodes;
  }

  #windowAt(sidecar: QuotaSidecar): Used {
    const day = sidecar.windowOf(this.tenant);
    let used = this.windows.get(day);
    if (used === undefined) {
      const { used: before = 0 } = this.scenario;
      this.windows.set(day, (used = { offered: 0, admitted: 0, before: day === this.#firstDay ? before : 0 }));
    }
    return used;
  }

  #offer(sidecar: QuotaSidecar, tenant: Tenant): boolean {
    if (!sidecar.offer(tenant)) return false;
    this.invariants.truth.add(sidecar.fleet.actor, tenant.id, 1);
    return true;
  }
}
