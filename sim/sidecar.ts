/** A sidecar as far as limits go: the production modules on virtual time and a simulated network. */
import { Gossip, type Keyring, type Seeds } from '../src/gossip/index.ts';
import { decide, take } from '../src/limits/decide.ts';
import type { PartitionPolicy } from '../src/limits/fleet/attendance.ts';
import { FleetRates } from '../src/limits/fleet/fleet-rates.ts';
import { TICK_MS } from '../src/limits/fleet/ticks.ts';
import { LimitState } from '../src/limits/state.ts';
import type { RequestRate, Tenant } from '../src/tenants/index.ts';
import type { SimNet } from './net.ts';
import type { Policy } from './policies.ts';
import { type SeededRandom, SimProcess } from './time.ts';

export interface SidecarOptions {
  readonly net: SimNet;
  readonly random: SeededRandom;
  readonly policy: Policy;
  readonly name: string;
  readonly address: string;
  readonly seeds: Seeds;
  readonly partition: PartitionPolicy;
  /** Undefined: frames are not sealed. */
  readonly keyring: Keyring | undefined;
}

export class SimSidecar {
  readonly name: string;
  readonly address: string;
  readonly process: SimProcess;
  readonly fleet: FleetRates;
  readonly gossip: Gossip;
  readonly keyring: Keyring | undefined;
  isReady = false;
  readonly #state: LimitState;
  readonly #options: SidecarOptions;

  constructor(options: SidecarOptions) {
    const { net, random, policy, name, address, seeds, partition, keyring } = options;
    this.#options = options;
    this.name = name;
    this.address = address;
    this.keyring = keyring;
    this.process = new SimProcess(net.time);
    this.fleet = new FleetRates({ clock: this.process, partition, rule: policy.rule });
    this.#state = new LimitState(this.fleet);
    this.gossip = new Gossip({
      clock: this.process,
      timers: this.process,
      random,
      transport: net.transport(this.process, address),
      delegate: this.fleet,
      name,
      cluster: 'sim',
      keyring,
      seeds,
    });
    this.fleet.follow(this.gossip);
  }

  start(): void {
    this.gossip.start(() => {
      this.isReady = true;
    });
    this.process.after(this.#options.random.float() * TICK_MS, () => {
      this.#tick();
      this.process.every(TICK_MS, () => this.#tick());
    });
  }

  /** One request of a tenant: whether it is admitted. */
  offer(tenant: Tenant): boolean {
    const { policy, random } = this.#options;
    const limit = tenant.allowance.requests as RequestRate;
    const now = this.process.now();
    this.#state.claim(tenant, 1, now);
    this.#state.offer(tenant, undefined);
    const ask = { tenant, route: undefined, now, waitingAll: 0, isAnswered: () => false };
    const decided = decide(this.#state, ask);
    const isAdmitted = policy.isByChance
      ? random.float() < this.#state.here(tenant.index, limit).perSec
      : decided.kind !== 'refuse';
    if (!isAdmitted) return false;
    if (policy.isByChance) this.fleet.admit(tenant.index, 1);
    else take(this.#state, ask, decided);
    return true;
  }

  /** Says that it goes, then goes. */
  leave(): void {
    this.fleet.tick();
    this.gossip.leave(() => this.crash());
  }

  crash(): void {
    this.process.kill();
    void this.gossip.close();
  }

  #tick(): void {
    if (this.fleet.tick()) this.gossip.nudge();
    if (this.fleet.isBehind) this.process.afterPoll(() => this.#tick());
  }
}
