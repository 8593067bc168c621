/** A cluster in one process, on virtual time. */

import { FAIR, SimNet, type SimTransport, type Weather } from '../../sim/net.ts';
import { SeededRandom, SimProcess, SimTime } from '../../sim/time.ts';
import type { Random } from '../../src/core/index.ts';
import { Gossip, type GossipSettings, type Keyring, type Member, staticSeeds } from '../../src/gossip/index.ts';
import type { Seeds } from '../../src/gossip/seeds.ts';
import type { Log } from '../../src/telemetry/index.ts';
import { Rows, untruthOf } from './rows.ts';

export interface Node {
  readonly gossip: Gossip;
  readonly process: SimProcess;
  readonly transport: SimTransport;
  readonly rows: Rows;
  isReady: boolean;
}

export interface NodeOptions {
  readonly address?: string;
  readonly name?: string;
  readonly cluster?: string;
  readonly keyring?: Keyring | undefined;
  readonly seeds?: Seeds;
  readonly settings?: Partial<GossipSettings>;
  readonly lagMs?: () => number;
  readonly incarnation?: string;
  readonly log?: Log;
  /** It has rows that may be late as well. */
  readonly hasCold?: boolean;
}

export class World {
  readonly time = new SimTime();
  readonly random: SeededRandom;
  readonly net: SimNet;
  readonly nodes: Node[] = [];
  /** What the static seeds of new nodes name: everybody. */
  readonly addresses: string[] = [];

  constructor(seed: number, weather: Weather = FAIR) {
    this.random = new SeededRandom(seed);
    this.net = new SimNet(this.time, this.random.fork(), weather);
  }

  /** A node that is not started. */
  node(options: NodeOptions = {}): Node {
    const address = options.address ?? `10.0.0.${this.nodes.length + 1}:7946`;
    if (!this.addresses.includes(address)) this.addresses.push(address);
    const process = new SimProcess(this.time);
    const transport = this.net.transport(process, address);
    const rows = new Rows(options.hasCold === true ? new Rows() : undefined);
    const random = this.random.fork();
    const { incarnation } = options;
    const chosen: Random = {
      hex: (bytes) => (bytes === 8 && incarnation !== undefined ? incarnation : random.hex(bytes)),
      float: () => random.float(),
    };
    const gossip = new Gossip({
      clock: process,
      timers: process,
      random: chosen,
      transport,
      delegate: rows,
      name: options.name ?? `pod-${this.nodes.length + 1}`,
      cluster: options.cluster ?? 'test',
      keyring: options.keyring,
      seeds: options.seeds ?? staticSeeds(this.addresses, true),
      ...(options.settings === undefined ? {} : { settings: options.settings }),
      ...(options.lagMs === undefined ? {} : { lagMs: options.lagMs }),
      ...(options.log === undefined ? {} : { log: options.log }),
    });
    const node: Node = { gossip, process, transport, rows, isReady: false };
    this.nodes.push(node);
    return node;
  }

  start(node: Node): Node {
    node.gossip.start(() => {
      node.isReady = true;
    });
    return node;
  }

  /** Started together, each knowing all addresses; run until all know all. */
  cluster(count: number, options: NodeOptions = {}): Node[] {
    const nodes = Array.from({ length: count }, () => this.node(options));
    for (const node of nodes) this.start(node);
    this.until(() => isComplete(nodes), 30_000);
    return nodes;
  }

  /** Runs until something holds, looked at every 10 ms; how long it took, or undefined. */
  until(isDone: () => boolean, ms: number): number | undefined {
    const startMs = this.time.nowMs;
    while (!isDone()) {
      if (this.time.nowMs - startMs >= ms) return undefined;
      this.time.run(10);
    }
    return this.time.nowMs - startMs;
  }

  crash(node: Node): void {
    node.process.kill();
    this.net.unbind(node.transport);
  }
}

/** What one node believes of another; undefined: it does not know it. */
export function stateOf(of: Node, seenBy: Node): Member['state'] | undefined {
  return seenBy.gossip.members().find((each) => each.incarnation === of.gossip.self.incarnation)?.state;
}

/** Each knows each as alive. */
export function isComplete(nodes: readonly Node[]): boolean {
  return nodes.every((a) => a.gossip.members().length >= nodes.length && nodes.every((b) => stateOf(b, a) === 'alive'));
}

/** Each holds all rows that each said. */
export function isConverged(nodes: readonly Node[]): boolean {
  return nodes.every((holder) => nodes.every((origin) => heldVersion(holder, origin) === origin.rows.said.length));
}

/** What is wrong with what anybody holds of anybody; undefined: nothing. */
export function untruth(nodes: readonly Node[]): string | undefined {
  for (const holder of nodes)
    for (const origin of nodes) {
      const wrong = untruthOf(holder.rows.held(slotOf(holder, origin)), heldVersion(holder, origin), origin.rows.said);
      if (wrong !== undefined) return wrong;
    }
  return undefined;
}

/** How often these nodes took one that lives for dead or suspect. */
export function accusations(nodes: readonly Node[], state: 'dead' | 'suspect', all: readonly Node[] = nodes): number {
  const living = new Set(all.filter((each) => !each.process.isDown).map((each) => each.gossip.self.incarnation));
  return nodes.reduce(
    (sum, { rows }) => sum + rows.events.filter((each) => each.state === state && living.has(each.incarnation)).length,
    0,
  );
}

function slotOf(holder: Node, origin: Node): number {
  const { incarnation } = origin.gossip.self;
  return holder.gossip.members().find((each) => each.incarnation === incarnation)?.slot ?? -1;
}

function heldVersion(holder: Node, origin: Node): number {
  return holder.rows.version(slotOf(holder, origin));
}
