/** A sidecar as far as limits go: the production modules on virtual time and a simulated network. */
import type { Clock, Timer, Timers } from '../src/core/index.ts';
import { Gossip, type Seeds, type Transport } from '../src/gossip/index.ts';
import { decide, take } from '../src/limits/decide.ts';
import { FleetRates, TICK_MS } from '../src/limits/fleet/fleet-rates.ts';
import { LimitState } from '../src/limits/state.ts';
import type { RequestRate, Tenant } from '../src/tenants/index.ts';
import type { Chance } from './chance.ts';
import type { Network } from './net.ts';
import type { Policy } from './policies.ts';
import type { VirtualTime } from './time.ts';

export interface SidecarOptions {
  readonly time: VirtualTime;
  readonly chance: Chance;
  readonly network: Network;
  readonly policy: Policy;
  readonly name: string;
  readonly address: string;
  readonly seeds: Seeds;
  readonly tenant: Tenant;
}

export class SimSidecar {
  readonly name: string;
  readonly address: string;
  readonly fleet: FleetRates;
  readonly gossip: Gossip;
  isReady = false;
  /** Units admitted since it began. */
  admitted = 0;
  readonly #state: LimitState;
  readonly #clock: Clock;
  readonly #timers: PausableTimers;
  readonly #options: SidecarOptions;

  constructor(options: SidecarOptions) {
    const { time, chance, network, policy, name, address, seeds } = options;
    this.#options = options;
    this.name = name;
    this.address = address;
    this.#clock = time.clock(chance.float() * 1e6);
    this.#timers = new PausableTimers(time);
    this.fleet = new FleetRates({ clock: this.#clock, partition: 'hold', rule: policy.rule });
    this.#state = new LimitState(this.fleet);
    this.gossip = new Gossip({
      clock: this.#clock,
      timers: this.#timers,
      random: chance,
      transport: this.#timers.pausable(network.transport(address)),
      delegate: this.fleet,
      name,
      cluster: 'sim',
      keyring: undefined,
      seeds,
      settings: JSON.parse(process.env['S'] ?? '{}'),
    });
    this.fleet.follow(this.gossip);
  }

  start(): void {
    this.gossip.start(() => {
      this.isReady = true;
    });
    this.#timers.after(this.#options.chance.float() * TICK_MS, () => {
      this.#tick();
      this.#timers.every(TICK_MS, () => this.#tick());
    });
  }

  /** One request of the tenant: whether it is admitted. */
  offer(cost = 1): boolean {
    const { tenant, policy, chance } = this.#options;
    const limit = tenant.allowance.requests as RequestRate;
    const now = this.#clock.now();
    this.#state.claim(tenant, 1, now);
    this.fleet.offer(tenant, limit, cost);
    const ask = { tenant, route: undefined, now, waitingAll: 0 };
    const isAdmitted = policy.isByChance
      ? chance.float() < this.#state.here(tenant.index, limit).perSec
      : decide(this.#state, ask).kind !== 'refuse';
    if (!isAdmitted) return false;
    if (policy.isByChance) this.fleet.admit(tenant.index, cost);
    else take(this.#state, ask, { kind: 'pass', over: undefined, waitMs: 0, rung: undefined });
    this.admitted += cost;
    return true;
  }

  /** Says that it goes, then goes. */
  leave(): void {
    this.fleet.tick();
    this.gossip.leave(() => this.crash());
  }

  crash(): void {
    this.#timers.stop();
    void this.gossip.close();
    this.#options.network.unplug(this.address);
  }

  /** Stands still, as a process that is starved of its core. */
  pause(ms: number): void {
    this.#timers.pause(ms);
  }

  get isPaused(): boolean {
    return this.#timers.isPaused;
  }

  #tick(): void {
    if (this.fleet.tick()) this.gossip.nudge();
  }
}

/** What is due while its process stands still is done when it goes on; when it is gone, never. */
class PausableTimers implements Timers {
  readonly #time: VirtualTime;
  #until = 0;
  #isStopped = false;

  constructor(time: VirtualTime) {
    this.#time = time;
  }

  get isPaused(): boolean {
    return this.#time.now < this.#until;
  }

  pause(ms: number): void {
    this.#until = this.#time.now + ms;
  }

  stop(): void {
    this.#isStopped = true;
  }

  after(delayMs: number, run: () => void): Timer {
    return this.#time.timers.after(delayMs, () => this.#run(run));
  }

  every(periodMs: number, run: () => void): Timer {
    return this.#time.timers.every(periodMs, () => this.#run(run));
  }

  sleep(delayMs: number): Promise<void> {
    return this.#time.timers.sleep(delayMs);
  }

  afterPoll(run: () => void): void {
    this.#time.timers.afterPoll(() => this.#run(run));
  }

  yieldLoop(): Promise<void> {
    return this.#time.timers.yieldLoop();
  }

  /** Datagrams wait in the socket meanwhile; streams are not answered in time. */
  pausable(transport: Transport): Transport {
    return {
      ...transport,
      listen: (handlers) =>
        transport.listen({
          datagram: (bytes, from) => this.#run(() => handlers.datagram(bytes, from)),
          request: (bytes, from) => (this.isPaused || this.#isStopped ? undefined : handlers.request(bytes, from)),
        }),
    };
  }

  #run(run: () => void): void {
    if (this.#isStopped) return;
    if (this.isPaused) this.#time.at(this.#until, () => this.#run(run));
    else run();
  }
}
