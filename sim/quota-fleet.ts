/** A fleet of simulated sidecars before one tenant with a quota, and what is done to it. */
import { emptySnapshot, type Quota, type Snapshot, type Tenant } from '../src/tenants/index.ts';
import { FAIR, SimNet, type Weather } from './net.ts';
import { QuotaSidecar, type SimDisk } from './quota-sidecar.ts';
import { addressOf, simTenant } from './tenant.ts';
import { SeededRandom, SimTime } from './time.ts';

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
  readonly startApartMs?: number;
  readonly events?: readonly { readonly at: number; readonly act: (fleet: QuotaFleet) => void }[];
  readonly measure: (fleet: QuotaFleet) => Readonly<Record<string, number>>;
}

const WEATHER: Weather = { ...FAIR, loss: 0.02, duplication: 0.005 };
/** Until then members find each other and rights are given out, s. */
export const WARM = 8;
/** Requests end so long before the run does, s: by then the last are told. */
const QUIET = 4;

export class QuotaFleet {
  readonly time = new SimTime();
  readonly random: SeededRandom;
  readonly net: SimNet;
  readonly places: (QuotaSidecar | undefined)[] = [];
  readonly scenario: QuotaScenario;
  readonly tenant: Tenant;
  readonly events: string[] = [];
  /** Units admitted, and asked for. */
  admitted = 0;
  offered = 0;
  /** Of what was admitted by those that were killed, what may be lost with them. */
  atRisk = 0;
  readonly #snapshot: Snapshot;
  readonly #others: readonly Tenant[];
  readonly #disks: SimDisk[] = [];
  readonly #seeds = new Set<string>();
  #born = 0;
  #sentBefore = 0;

  constructor(scenario: QuotaScenario, seed: number) {
    this.scenario = scenario;
    this.random = new SeededRandom(seed);
    this.net = new SimNet(this.time, this.random.fork(), WEATHER);
    const tenants = Array.from({ length: 1 + (scenario.others ?? 0) }, (_, index) => tenantOf(scenario, index));
    this.tenant = tenants[0] as Tenant;
    this.#others = tenants.slice(1);
    this.#snapshot = { ...emptySnapshot, generation: 1, tenants: new Map(tenants.map((each) => [each.id, each])) };
  }

  run(): void {
    const { nodes, startApartMs = 5, events = [], seconds } = this.scenario;
    for (let place = 0; place < nodes; place++) {
      this.#disks.push({ bytes: Buffer.from('') });
      this.#seeds.add(addressOf(place));
      this.time.at(place * startApartMs, () => this.start(place));
      this.time.at(WARM * 1000, () => this.#serve(place));
    }
    for (const { at, act } of events) this.time.at(at * 1000, () => act(this));
    if (this.#others.length > 0) this.time.at(WARM * 1000, () => this.#serveOthers());
    this.time.at(WARM * 1000, () => {
      this.#sentBefore = this.net.sentBytes;
    });
    this.time.run(seconds * 1000);
  }

  start(place: number, isDiskKept = true): void {
    const { hasDisk = false, used = 0 } = this.scenario;
    const address = addressOf(place);
    this.#seeds.add(address);
    if (!isDiskKept) (this.#disks[place] as SimDisk).bytes = Buffer.from('');
    const sidecar = new QuotaSidecar({
      net: this.net,
      random: this.random.fork(),
      name: `pod-${place}-${this.#born++}`,
      address,
      seeds: { isComplete: true, look: (done) => void this.time.after(1, () => done([...this.#seeds])) },
      snapshot: this.#snapshot,
      disk: hasDisk ? this.#disks[place] : undefined,
      onCrossed: (name, at) => void this.events.push(`${name} ${at}`),
    });
    const day = Math.floor(sidecar.process.wallMs() / 86_400_000);
    if (used > 0)
      sidecar.fleet.counters.merge({
        tenant: 'acme',
        meter: 'api_calls',
        day,
        actor: 'a'.repeat(16),
        count: used,
        credit: 0,
      });
    this.places[place] = sidecar;
    sidecar.start();
  }

  crash(place: number): void {
    this.atRisk += this.places[place]?.crash() ?? 0;
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

  /** Units that all together used beyond the limit. */
  get exceeded(): number {
    const { limit, used = 0 } = this.scenario;
    return Math.max(0, this.admitted + used - limit);
  }

  /** Of what was asked for and could have been admitted, percent that was. */
  get servedPct(): number {
    const { limit, used = 0 } = this.scenario;
    return (100 * this.admitted) / Math.min(this.offered, limit - used);
  }

  /** Units that were admitted and that somebody who is there does not know of. */
  get lost(): number {
    const { used = 0 } = this.scenario;
    const believed = this.places.flatMap((each) => (each?.isReady === true ? [each.believes(this.tenant)] : []));
    return this.admitted + used - Math.min(...believed);
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
      if (sidecar?.isReady === true) sidecar.offer(tenant);
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
    this.offered++;
    if (sidecar.offer(this.tenant)) this.admitted++;
  }
}

function tenantOf({ isHard, limit }: QuotaScenario, index: number): Tenant {
  const quota: Quota = {
    meter: 'api_calls',
    source: 'calls',
    per: 'day',
    limit,
    unit: 'requests',
    isHard,
    estimate: undefined,
    thresholds: [
      {
        at: limit,
        text: '100%',
        action: isHard ? 'notify' : 'reject',
        rate: undefined,
        perSec: Number.POSITIVE_INFINITY,
      },
    ],
  };
  const allowance = { requests: undefined, egress: undefined, concurrency: undefined, shadow: false, quotas: [quota] };
  return simTenant(index === 0 ? 'acme' : `tenant-${index}`, index, allowance);
}
