/** A sidecar as far as quotas go: the production modules on virtual time, a simulated network and, if it has one, a simulated disk. */
import { Gossip, type Seeds } from '../src/gossip/index.ts';
import { carriageOf } from '../src/limits/carriage.ts';
import { FleetRates, TICK_MS } from '../src/limits/fleet/fleet-rates.ts';
import { FleetQuotas, QUOTA_TICK_MS } from '../src/limits/fleet-quotas/fleet-quotas.ts';
import type { FleetRow } from '../src/limits/fleet-quotas/row.ts';
import type { Account } from '../src/limits/quotas/account.ts';
import {
  claimLine,
  countLine,
  endLine,
  gaugeLine,
  HEAD,
  lifeLine,
  readLines,
  totalLine,
} from '../src/limits/quotas/log-file.ts';
import { COMMIT_MS } from '../src/limits/quotas/own-log.ts';
import { QuotaCounts } from '../src/limits/quotas/quota-counts.ts';
import { Quotas } from '../src/limits/quotas/quotas.ts';
import { Zones } from '../src/limits/quotas/zones.ts';
import type { Identified } from '../src/pipeline/index.ts';
import { createMetrics, silentLog } from '../src/telemetry/index.ts';
import type { Snapshot, Tenant } from '../src/tenants/index.ts';
import type { SimNet } from './net.ts';
import { type SeededRandom, SimProcess } from './time.ts';

/** What outlives a process: the lines that a log would hold. */
export interface SimDisk {
  bytes: Buffer;
}

export interface QuotaSidecarOptions {
  readonly net: SimNet;
  readonly random: SeededRandom;
  readonly name: string;
  readonly address: string;
  readonly seeds: Seeds;
  readonly snapshot: Snapshot;
  readonly disk: SimDisk | undefined;
  /** A threshold's event is announced. */
  readonly onCrossed: (name: string, at: string) => void;
}

const zones = new Zones();

export class QuotaSidecar {
  readonly name: string;
  readonly process: SimProcess;
  readonly fleet: FleetQuotas;
  readonly quotas: Quotas;
  readonly gossip: Gossip;
  isReady = false;
  /** When units were admitted, ms; see `crash`. */
  readonly #recent: number[] = [];
  readonly #rates: FleetRates;
  readonly #options: QuotaSidecarOptions;

  constructor(options: QuotaSidecarOptions) {
    const { net, random, name, address, seeds } = options;
    this.#options = options;
    this.name = name;
    const process = (this.process = new SimProcess(net.time));
    const actor = random.hex(8);
    this.#rates = new FleetRates({ clock: process, partition: 'hold' });
    const fleet = (this.fleet = new FleetQuotas({ actor, clock: process }));
    const counts = new QuotaCounts({
      clock: process,
      log: { ...silentLog, warn: (_, fields) => options.onCrossed(name, String(fields?.['at'])) },
      metrics: createMetrics({ timers: process }),
      series: () => 0,
      isWriting: () => true,
    });
    const { counters, gauges } = fleet;
    this.quotas = new Quotas({ counters, gauges, zones, counts, fleet, clock: process, timers: process });
    fleet.serve(this.quotas);
    this.quotas.use(options.snapshot);
    this.gossip = new Gossip({
      clock: process,
      timers: process,
      random,
      transport: net.transport(process, address),
      delegate: carriageOf(this.#rates, fleet),
      incarnation: actor,
      name,
      cluster: 'sim',
      keyring: undefined,
      seeds,
    });
    this.#rates.follow(this.gossip);
    fleet.follow(this.gossip);
  }

  start(): void {
    this.#read();
    this.fleet.know('disk');
    this.quotas.start();
    this.gossip.start(() => {
      this.isReady = true;
      this.fleet.know('others');
    });
    this.process.every(TICK_MS, () => void this.#rates.tick());
    this.process.after(this.#options.random.float() * QUOTA_TICK_MS, () =>
      this.process.every(QUOTA_TICK_MS, () => {
        if (this.fleet.tick()) this.gossip.nudgeCold();
        while (this.fleet.isBehind) this.fleet.turn();
      }),
    );
    this.process.every(COMMIT_MS, () => this.#commit(false));
  }

  /** One request: whether it is admitted. */
  offer(tenant: Tenant): boolean {
    const now = this.process.now();
    const account = this.quotas.accountOf(tenant, now) as Account;
    const x = { tenant, route: undefined, method: 'GET', headers: NO_FIELDS } as unknown as Identified;
    if (this.quotas.check(account, x, now, false) !== undefined) return false;
    this.quotas.take(account, x, now);
    this.#recent.push(now);
    return true;
  }

  /** What it takes the fleet to have used. */
  believes(tenant: Tenant): number {
    const account = this.quotas.accountOf(tenant, this.process.now()) as Account;
    return account.lines[0]?.used ?? 0;
  }

  /** On which its clock says that the tenant's window begins, days since 1970. */
  windowOf(tenant: Tenant): number {
    return (this.quotas.accountOf(tenant, this.process.now()) as Account).lines[0]?.from ?? 0;
  }

  leave(): void {
    this.fleet.leave();
    this.gossip.leave(() => {
      this.#commit(this.fleet.isHeirless);
      this.crash();
    });
  }

  /** Returns what it admitted in the last second and a tick: what may be lost with it. */
  crash(): number {
    const since = this.process.now() - COMMIT_MS - QUOTA_TICK_MS;
    this.process.kill();
    void this.gossip.close();
    return this.#recent.filter((at) => at >= since).length;
  }

  #commit(isEnd: boolean): void {
    const { disk } = this.#options;
    if (disk === undefined) return;
    const { fleet } = this;
    let text = HEAD + lifeLine(fleet.actor);
    for (const row of fleet.counters.rows()) text += countLine(row);
    for (const total of fleet.counters.closed()) text += totalLine(total);
    for (const row of fleet.gauges.rows()) text += gaugeLine(row);
    for (const row of fleet.claims.rows()) text += claimLine(row);
    if (isEnd) text += endLine(fleet.actor);
    disk.bytes = Buffer.from(text);
  }

  #read(): void {
    const { disk } = this.#options;
    if (disk === undefined) return;
    const { fleet } = this;
    let [life, ended]: (string | undefined)[] = [];
    readLines(disk.bytes, {
      count: (row) => void fleet.counters.merge(row),
      total: (total) => void fleet.counters.restore(total),
      gauge: (row) => void fleet.gauges.merge(row),
      claim: (row) => void fleet.claims.merge(row as FleetRow),
      life: (actor) => {
        life = actor;
      },
      end: (actor) => {
        ended = actor;
      },
    });
    this.#commit(false);
    if (life !== undefined) fleet.inherit(life, ended === life ? 'heir' : 'next');
  }
}

const NO_FIELDS = { first: () => undefined };
