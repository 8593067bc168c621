/** The fleet as this sidecar takes part in it: gossip over sockets, its keys and seeds, and the rates and quotas it carries. */
import { readFileSync } from 'node:fs';
import { hostname, networkInterfaces } from 'node:os';
import { type Clock, Closer, type LoopLag, type Random, ReeveError, type Timers } from '../core/index.ts';
import {
  dnsSeeds,
  fileSeeds,
  Gossip,
  Keyring,
  type Member,
  openSocketTransport,
  type Seeds,
  staticSeeds,
} from '../gossip/index.ts';
import { carriageOf, FleetQuotas, FleetRates, leaveQuotas, TICK_MS, tickQuotas } from '../limits/index.ts';
import type { Log, Metrics } from '../telemetry/index.ts';
import { type CollectorConfig, type GossipConfig, sidecarSettings } from '../tenants/index.ts';

/** How often the key file is looked at, ms. */
const KEYS_MS = 5000;
/** Dead members are remembered for as long as the share of a member behind a cut is held, and a little more, ms. */
const KEEP_MS = 310_000;

const PORT = sidecarSettings.find(({ path }) => path === 'gossip.port')?.default;
/** As of `gossip.name`. */
const NAME_CHARS_MAX = 63;

export interface FleetWorld {
  readonly clock: Clock;
  readonly timers: Timers;
  readonly random: Random;
  readonly log: Log;
  readonly lag: LoopLag;
  readonly metrics: Metrics;
}

export interface FleetMembers {
  /** No other was heard for long although there should be some. */
  readonly isIsolated: boolean;
  /** The seeds answered, or somebody was heard. */
  readonly isFound: boolean;
  readonly expected: number;
  /** Hard quotas that refuse although they are not used up. */
  readonly unreachableQuotas: number;
  /** Those that refuse because nobody has a part of them yet. */
  readonly unpartedQuotas: number;
  /** Local health, 0 (well) to 8. */
  readonly health: number;
  readonly members: readonly Omit<Member, 'slot'>[];
}

export interface Fleet extends AsyncDisposable {
  readonly rates: FleetRates;
  readonly quotas: FleetQuotas;
  readonly port: number;
  /**
   * Begins to speak and to listen, and to ask the collector what it kept. Not before what earlier lives of this process kept on disk is read: that is
   * taken as it stands, and would come on top of what others say of the same days.
   */
  start(): void;
  /** As the admin API shows them, this sidecar first. */
  members(): FleetMembers;
  /** Whether the others' state was pulled, or there is nobody, and what a collector kept: before, shares are guesses. */
  readonly isReady: boolean;
  /** Tells the others, and waits until two of them know, 1 s at most, and the collector, 1.5 s. */
  leave(): Promise<void>;
  close(): Promise<void>;
}

/** Rejects with a `ReeveError` when the keys cannot be read or the port is taken. `collector`: it keeps what quotas count, when there is one. */
export async function openFleet(
  config: GossipConfig,
  world: FleetWorld,
  collector: CollectorConfig | undefined,
): Promise<Fleet> {
  const { clock, timers, random, log, lag } = world;
  const closer = new Closer();
  const keyring = new Keyring(readKeys(config.keyFile));
  const rates = new FleetRates({ clock, partition: config.partition });
  const actor = random.hex(8);
  const quotas = new FleetQuotas({ actor, clock });
  const transport = await openSocketTransport({
    timers,
    host: config.host,
    port: config.port,
    ...advertised(config),
  }).catch((cause: Error) => {
    throw new ReeveError('gossip-port', cause.message, {
      place: `gossip.port ${config.port}`,
      remedy: 'choose another with --gossip-port',
    });
  });
  const gossip = new Gossip({
    ...world,
    transport,
    delegate: carriageOf(rates, quotas),
    incarnation: actor,
    name: config.name ?? nameOf(config, transport.address),
    cluster: config.cluster,
    keyring,
    seeds: seedsOf(config.seeds),
    settings: { keepMs: KEEP_MS },
    lagMs: () => lag.takeWorst(),
  });
  rates.follow(gossip);
  quotas.follow(gossip);
  closer.add(() => gossip.close());
  let isReady = false;
  const checkpoint =
    collector &&
    (await (await import('./checkpoint.ts')).openCheckpoint({ ...world, collector, cluster: config.cluster, quotas }));
  if (checkpoint !== undefined) closer.add(() => checkpoint.close());
  const turn = (): void => {
    if (rates.tick()) gossip.nudge();
    if (rates.isBehind) timers.afterPoll(turn);
  };
  const start = (): void => {
    const restored = checkpoint?.start();
    gossip.start(async () => {
      // Nobody has a part of anything before that.
      await restored;
      isReady = true;
      quotas.know('others');
      log.info('gossip.ready', { members: gossip.members().length, address: transport.address });
    });
    const ticks = [
      timers.every(TICK_MS, turn),
      tickQuotas(quotas, timers, () => gossip.nudgeCold()),
      timers.every(KEYS_MS, rereading(config.keyFile, keyring, log)),
    ];
    closer.add(() => {
      for (const tick of ticks) tick.cancel();
    });
  };
  return {
    start,
    rates,
    quotas,
    port: Number(transport.address.slice(transport.address.lastIndexOf(':') + 1)),
    members: () => describe(gossip, quotas),
    get isReady() {
      return isReady;
    },
    async leave() {
      // What was admitted until now goes with it.
      rates.leave();
      do rates.tick();
      while (rates.isBehind);
      await leaveQuotas(quotas, timers);
      const said = new Promise<void>((resolve) => gossip.leave(resolve));
      await Promise.all([said, checkpoint?.leave()]);
    },
    close: () => closer.close(),
    [Symbol.asyncDispose]: () => closer.close(),
  };
}

function describe(gossip: Gossip, quotas: FleetQuotas): FleetMembers {
  const { isIsolated, isFound, expected, health } = gossip;
  const members = gossip
    .members()
    .map(({ name, incarnation, address, state, isListed }) => ({ name, incarnation, address, state, isListed }));
  const { unreachable: unreachableQuotas, unparted: unpartedQuotas } = quotas;
  return { isIsolated, isFound, expected, unreachableQuotas, unpartedQuotas, health, members };
}

/** Looks at the file. One that is broken changes nothing, and is told once. */
function rereading(path: string, keyring: Keyring, log: Log): () => void {
  let told = '';
  return () => {
    try {
      const keys = readKeys(path);
      if (keyring.use(keys)) log.info('gossip.keys_changed', { file: path, count: keys.length });
      told = '';
    } catch (cause) {
      const { message } = cause as Error;
      if (told !== String(cause))
        log.warn('gossip.keys_kept', {
          file: path,
          cause: message,
          remedy: 'mend the file: it is looked at again each 5 s; until then the keys from before are used',
        });
      told = String(cause);
    }
  };
}

/** Base64, one a line; `#` begins a comment. Throws a `ReeveError` that says what is wrong with the file. */
export function readKeys(path: string): Uint8Array[] {
  const lines = readText(path)
    .split('\n')
    .map((line) => line.replace(/#.*/, '').trim());
  const keys = lines.filter((line) => line !== '').map((line) => Buffer.from(line, 'base64'));
  if (keys.length > 0 && keys.every((key) => key.length === 32)) return keys;
  throw new ReeveError('gossip-keys', 'expected keys of 32 bytes in base64, one a line', {
    place: path,
    remedy: 'make one with: head -c 32 /dev/urandom | base64',
  });
}

/**
 * What the others call it, by default: its host, which is the pod. Only one process of a host can have the default port on all addresses; any other
 * says where it is as well, so that two on one host are told apart.
 */
export function nameOf(
  { host, port }: Pick<GossipConfig, 'host' | 'port'>,
  address: string,
  self = hostname(),
): string {
  const isEverywhere = host === '0.0.0.0' || host === '::';
  const where = isEverywhere ? address.slice(address.lastIndexOf(':')) : `:${address}`;
  const suffix = isEverywhere && port === PORT ? '' : where;
  // Pods differ in the end of their names.
  return `${self.slice(-(NAME_CHARS_MAX - suffix.length))}${suffix}`;
}

/** A few lines. */
function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (cause) {
    throw new ReeveError('gossip-keys', `cannot be read: ${(cause as Error).message}`, {
      place: path,
      remedy: 'mount the Secret of the gossip keys there, or leave spec.gossip out',
    });
  }
}

function seedsOf(seeds: GossipConfig['seeds']): Seeds {
  if ('dns' in seeds) return dnsSeeds(seeds.dns);
  return 'file' in seeds ? fileSeeds(seeds.file) : staticSeeds(seeds.list);
}

/** Who listens on every address is reached by one of them. */
function advertised({ advertise, host }: GossipConfig): { readonly advertise?: string } {
  if (advertise !== undefined) return { advertise };
  if (host !== '0.0.0.0' && host !== '::') return {};
  const addresses = Object.values(networkInterfaces()).flatMap((each) => each ?? []);
  const outside = addresses.find((each) => !each.internal && (host === '::' || each.family === 'IPv4'));
  return { advertise: outside?.address ?? '127.0.0.1' };
}
