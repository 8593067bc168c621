/** A sidecar as far as quotas go: the production modules on virtual time, a simulated network and, if it has one, a simulated disk. */
import { Gossip, type Seeds } from '../src/gossip/index.ts';
import { carriageOf } from '../src/limits/carriage.ts';
import { FleetRates } from '../src/limits/fleet/fleet-rates.ts';
import { TICK_MS } from '../src/limits/fleet/ticks.ts';
import { FleetQuotas, QUOTA_TICK_MS } from '../src/limits/fleet-quotas/fleet-quotas.ts';
import type { Account } from '../src/limits/quotas/account.ts';
import { COMMIT_MS, OwnLog } from '../src/limits/quotas/own-log.ts';
import { QuotaCounts } from '../src/limits/quotas/quota-counts.ts';
import { Quotas } from '../src/limits/quotas/quotas.ts';
import { Zones } from '../src/limits/quotas/zones.ts';
import type { Identified } from '../src/pipeline/index.ts';
import { createMetrics, silentLog } from '../src/telemetry/index.ts';
import type { Snapshot, Tenant } from '../src/tenants/index.ts';
import type { SimDisk } from './disk.ts';
import type { SimNet } from './net.ts';
import { SimOwnDisk } from './own-disk.ts';
import { type SeededRandom, SimProcess } from './time.ts';

export interface QuotaSidecarOptions {
  readonly net: SimNet;
  readonly random: SeededRandom;
  readonly name: string;
  readonly address: string;
  readonly seeds: Seeds;
  readonly snapshot: Snapshot;
  /** What outlives the process; undefined: nothing does. */
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
  /** Its disk is read, and the others' state was pulled. */
  isReady = false;
  readonly #ownLog: OwnLog | undefined;
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
      isWriting: () => this.#ownLog?.isWriting ?? false,
    });
    const { counters, gauges } = fleet;
    const disk = options.disk && new SimOwnDisk(options.disk, process, random.fork());
    this.#ownLog =
      disk && new OwnLog({ dir: '/state', disk, counters, gauges, fleet, timers: process, log: silentLog });
    this.quotas = new Quotas({ counters, gauges, zones, counts, fleet, clock: process, timers: process });
    fleet.serve(this.quotas.accounts);
    this.quotas.accounts.use(options.snapshot);
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
    const isRead = this.#open();
    this.gossip.start(async () => {
      this.fleet.know('others');
      await isRead;
      this.isReady = true;
    });
    this.process.every(TICK_MS, () => void this.#rates.tick());
    this.process.after(this.#options.random.float() * QUOTA_TICK_MS, () =>
      this.process.every(QUOTA_TICK_MS, () => {
        if (this.fleet.tick()) this.gossip.nudgeCold();
        while (this.fleet.isBehind) this.fleet.turn();
      }),
    );
  }

  /** One request: whether it is admitted. */
  offer(tenant: Tenant): boolean {
    const now = this.process.now();
    const account = this.quotas.accounts.of(tenant, now) as Account;
    const x = { tenant, route: undefined, method: 'GET', headers: NO_FIELDS } as unknown as Identified;
    if (this.quotas.check(account, x, now, false) !== undefined) return false;
    this.quotas.take(account, x, now);
    this.#recent.push(now);
    return true;
  }

  /** What it takes the fleet to have used. */
  believes(tenant: Tenant): number {
    const account = this.quotas.accounts.of(tenant, this.process.now()) as Account;
    return account.lines[0]?.used ?? 0;
  }

  /** On which its clock says that the tenant's window begins, days since 1970. */
  windowOf(tenant: Tenant): number {
    return (this.quotas.accounts.of(tenant, this.process.now()) as Account).lines[0]?.from ?? 0;
  }

  leave(): void {
    void Promise.race([this.fleet.leave(), this.process.sleep(1000)]).then(() =>
      this.gossip.leave(() => void this.#close()),
    );
  }

  /**
   * Returns what it admitted in the last second and a tick: what may be lost with it. `power`: the machine stops, and of what was not synced any part
   * is there again.
   */
  crash(of: 'process' | 'power' = 'process'): number {
    if (this.process.isDown) return 0;
    const since = this.process.now() - COMMIT_MS - QUOTA_TICK_MS;
    this.process.kill();
    void this.gossip.close();
    const { disk } = this.#options;
    if (of === 'power') disk?.crash();
    else disk?.kill();
    return this.#recent.filter((at) => at >= since).length;
  }

  async #open(): Promise<void> {
    await this.#ownLog?.open();
    this.fleet.know('disk');
    this.quotas.accounts.start();
  }

  async #close(): Promise<void> {
    this.quotas.accounts.stop();
    await this.#ownLog?.close();
    this.crash();
  }
}

const NO_FIELDS = { first: () => undefined };
