/** What is done to a fleet, and what is measured of it. Loads are in limits: 3 is three times the limit, of all sidecars together. */
import type { PartitionPolicy } from '../src/limits/fleet/attendance.ts';
import type { SimFleet } from './fleet.ts';
import type { SimNet } from './net.ts';
import type { SeededRandom, SimProcess, SimTime } from './time.ts';

export interface Scenario {
  readonly name: string;
  readonly describe: string;
  readonly nodes: number;
  /** Places requests come to; default: as many as nodes. */
  readonly places?: number;
  /** Units a second, and at once. */
  readonly limit: number;
  readonly burst: number;
  readonly isStrict?: boolean;
  readonly seconds: number;
  /** Tenants beside the one that is measured, and their requests a second, of all together. */
  readonly others?: number;
  readonly othersPerSec?: number;
  /** Default: hold. */
  readonly partition?: PartitionPolicy;
  /** By which frames are sealed; default: they are not, which spares the cost. */
  readonly keys?: readonly Uint8Array[];
  /** Of a sidecar's wall clock when it starts, ms. */
  readonly skewMs?: (random: SeededRandom) => number;
  readonly startApartMs?: number;
  readonly load: (seconds: number, place: number, places: number) => number;
  readonly events?: readonly { readonly at: number; readonly act: (fleet: SimFleet) => void }[];
  /** By figure. */
  readonly measure: (fleet: SimFleet) => Readonly<Record<string, number>>;
}

const NODES = 50;
const LIMIT = 1000;
/** A tenth of a second's limit: ten times less than a plan has that says nothing, so that faults show. */
const BURST = LIMIT / 10;
/** Until then members find each other and demand is learnt, s. */
const WARM = 6;
/** Then something happens. */
const THEN = 10;
const OVERLOAD = 3;
/** A second's noise of what is admitted once all is settled, in percent: a fleet is settled when it stays within for the seconds after. */
const SETTLED_PCT = 5;

/** Zipf with exponent 1.1: of 50 sidecars the first has a fifth of the requests. */
export function skewed(place: number, places: number): number {
  return 1 / (place + 1) ** 1.1 / weightOf(places);
}

const weights = new Map<number, number>();

function weightOf(places: number): number {
  let sum = weights.get(places);
  if (sum === undefined) {
    sum = 0;
    for (let place = 0; place < places; place++) sum += 1 / (place + 1) ** 1.1;
    weights.set(places, sum);
  }
  return sum;
}

const skewedLoad =
  (load: number) =>
  (_: number, place: number, places: number): number =>
    load * skewed(place, places);

const base = { nodes: NODES, limit: LIMIT, burst: BURST, seconds: 20, load: skewedLoad(OVERLOAD) };

/** Of all: the part of their requests that places had admitted, by Jain's index of fairness; 1 when the same for all. */
function jain({ admitted, offered }: SimFleet): number {
  const parts = admitted.map((each, at) => each / Math.max(1, offered[at] as number));
  const sum = parts.reduce((all, each) => all + each, 0);
  return sum ** 2 / (parts.length * parts.reduce((all, each) => all + each ** 2, 0));
}

const ms = (seconds: number): number => seconds * 1000;

/** 60 to 40, for ten seconds. */
const cutAt = (at: number): NonNullable<Scenario['events']> => [
  {
    at,
    act: ({ net, addresses }) => {
      const heal = net.cut(
        addresses.filter((_, place) => place % 5 < 3),
        addresses.filter((_, place) => place % 5 >= 3),
      );
      net.time.after(ms(10), heal);
    },
  },
];

const [OLD_KEY, NEW_KEY] = [new Uint8Array(32).fill(1), new Uint8Array(32).fill(2)] as const;

/** Frames that no key opens; not those that came twice. */
function unopened(refused: Readonly<Record<'key' | 'forged', number>> = { key: 0, forged: 0 }): number {
  return refused.key + refused.forged;
}

function flap({ net, addresses, random }: SimFleet): void {
  const one = [addresses[Math.floor(random.float() * addresses.length)] as string];
  const others = addresses.filter((each) => each !== one[0] && random.float() < 0.5);
  const kind = Math.floor(random.float() * 3);
  const heal = kind === 0 ? net.cut(one, others) : kind === 1 ? net.cutOneWay(one, others) : net.cutOneWay(others, one);
  net.time.after(200 + 1300 * random.float(), heal);
}

/** Half a minute before or behind, at most. */
export function skewed30s(random: SeededRandom): number {
  return 60_000 * (random.float() - 0.5);
}

/** Of one by chance, by up to an hour. */
export function setClock({ places, random }: Fleet): void {
  const one = places[Math.floor(random.float() * places.length)];
  const byMs = 2 * 3_600_000 * (random.float() - 0.5);
  if (one !== undefined) one.process.skewMs += byMs;
}

/** What a nemesis needs of a fleet, of either kind. */
interface Fleet {
  readonly time: SimTime;
  readonly net: SimNet;
  readonly random: SeededRandom;
  readonly places: readonly ({ readonly process: SimProcess } | undefined)[];
  readonly addresses: readonly string[];
  crash(place: number): void;
  leave(place: number): void;
  start(place: number, isDiskKept?: boolean): void;
}

/** A cut for up to 9 s, a pause of up to 3.5 s, a clock that is set, or one that is killed or leaves, with or without its disk, and comes back. */
export function mischief(fleet: Fleet): void {
  const { random, places, addresses, net, time } = fleet;
  const place = Math.floor(random.float() * places.length);
  const kind = Math.floor(random.float() * 7);
  const side = random.float();
  const isHere = (at: number): boolean => at / places.length < side;
  if (kind === 0) {
    const heal = net.cut(
      addresses.filter((_, at) => isHere(at)),
      addresses.filter((_, at) => !isHere(at)),
    );
    time.after(1000 + 8000 * random.float(), heal);
  } else if (kind === 1) places[place]?.process.pause(500 + 3000 * random.float());
  else if (kind === 6) setClock(fleet);
  else {
    if (kind < 4) fleet.crash(place);
    else fleet.leave(place);
    time.after(1500, () => {
      if (fleet.places[place] === undefined) fleet.start(place, kind % 2 === 0);
    });
  }
}

export const SCENARIOS: readonly Scenario[] = [
  {
    ...base,
    name: 'steady',
    describe: 'three times the limit, skewed',
    measure: (fleet) => ({
      mean_pct: fleet.oracle.meanPct(ms(WARM), ms(20)),
      steady_excess_pct: fleet.oracle.excessPct(ms(WARM), ms(20)),
      jain: jain(fleet),
    }),
  },
  {
    ...base,
    name: 'within',
    describe: '80 % of the limit, skewed: nothing should be refused',
    load: skewedLoad(0.8),
    measure: ({ oracle }) => ({ false_reject_pct: oracle.falseRejectPct(ms(WARM), ms(20)) }),
  },
  {
    ...base,
    name: 'flash',
    describe: 'from 30 % to ten limits more at one sidecar',
    load: (seconds, place, places) => 0.3 * skewed(place, places) + (seconds > THEN && place === places - 1 ? 10 : 0),
    measure: ({ oracle }) => ({
      flash_excess_pct: oracle.excessPct(ms(THEN - 1), ms(THEN + 5)),
      flash_settled_ms: oracle.settledMs(ms(THEN), ms(THEN + 5), SETTLED_PCT),
    }),
  },
  {
    ...base,
    name: 'surge',
    describe: 'from 10 % to three limits at all sidecars at once',
    load: (seconds, place, places) => (seconds > THEN ? OVERLOAD : 0.1) * skewed(place, places),
    measure: ({ oracle }) => ({ surge_excess_pct: oracle.excessPct(ms(THEN - 1), ms(THEN + 5)) }),
  },
  {
    ...base,
    nodes: 20,
    burst: LIMIT,
    name: 'spike',
    describe:
      'five limits within 0.15 s, at all of twenty idle sidecars alike; a burst of a second, as plans have that say nothing',
    load: (seconds, _, places) => (seconds > THEN && seconds < THEN + 0.15 ? 33 : 0.02) / places,
    measure: ({ oracle }) => ({
      spike_excess_pct: oracle.excessPct(ms(THEN - 1), ms(THEN + 5)),
      spike_served_pct: oracle.servedPct(ms(THEN), ms(THEN + 1)),
    }),
  },
  {
    ...base,
    name: 'shift',
    describe: 'the busiest sidecars become the idlest, and the other way round',
    load: (seconds, place, places) => OVERLOAD * skewed(seconds > THEN ? places - 1 - place : place, places),
    measure: ({ oracle }) => ({
      shift_excess_pct: oracle.excessPct(ms(THEN - 1), ms(THEN + 5)),
      reconverge_ms: oracle.settledMs(ms(THEN), ms(THEN + 5), SETTLED_PCT),
    }),
  },
  {
    ...base,
    name: 'partition',
    describe: 'cut 60 to 40 for ten seconds, then healed',
    seconds: 28,
    events: cutAt(THEN),
    measure: ({ oracle }) => ({
      partition_excess_pct: oracle.excessPct(ms(THEN - 1), ms(THEN + 10)),
      partition_mean_pct: oracle.meanPct(ms(THEN), ms(THEN + 10)),
      heal_excess_pct: oracle.excessPct(ms(THEN + 10), ms(28)),
    }),
  },
  ...(['strict', 'open'] as const).map(
    (partition): Scenario => ({
      ...base,
      name: `partition-${partition}`,
      describe: `the same with \`partition: ${partition}\``,
      seconds: 28,
      partition,
      events: cutAt(THEN),
      measure: ({ oracle }) => ({
        [`partition_${partition}_excess_pct`]: oracle.excessPct(ms(THEN - 1), ms(THEN + 10)),
        [`partition_${partition}_mean_pct`]: oracle.meanPct(ms(THEN), ms(THEN + 10)),
        [`heal_${partition}_excess_pct`]: oracle.excessPct(ms(THEN + 10), ms(28)),
      }),
    }),
  ),
  {
    ...base,
    name: 'flapping',
    describe:
      'five times a second the link of one sidecar to half of the others goes, one way or both, for up to 1.5 s',
    seconds: 28,
    events: Array.from({ length: 60 }, (_, at) => ({ at: THEN + at / 5, act: flap })),
    measure: ({ oracle }) => ({
      flapping_mean_pct: oracle.meanPct(ms(THEN), ms(28)),
      flapping_excess_pct: oracle.excessPct(ms(THEN - 1), ms(28)),
    }),
  },
  {
    ...base,
    name: 'one-way',
    describe: 'a fifth of the sidecars hear the others, and are not heard',
    seconds: 28,
    events: [
      {
        at: THEN,
        act: ({ net, addresses }) => {
          const heal = net.cutOneWay(
            addresses.filter((_, place) => place % 5 === 0),
            addresses.filter((_, place) => place % 5 !== 0),
          );
          net.time.after(ms(10), heal);
        },
      },
    ],
    measure: ({ oracle }) => ({
      one_way_excess_pct: oracle.excessPct(ms(THEN - 1), ms(28)),
      one_way_mean_pct: oracle.meanPct(ms(THEN), ms(28)),
    }),
  },
  {
    ...base,
    name: 'crash',
    describe: 'the busiest tenth of the sidecars is killed at once; their addresses stay listed',
    seconds: 24,
    events: [
      {
        at: THEN,
        act: (fleet) => {
          for (let place = 0; place < fleet.places.length / 10; place++) fleet.crash(place);
        },
      },
    ],
    measure: ({ oracle }) => ({
      crash_reclaim_ms: oracle.settledMs(ms(THEN), ms(THEN + 8), SETTLED_PCT),
      crash_excess_pct: oracle.excessPct(ms(THEN - 1), ms(24)),
    }),
  },
  {
    ...base,
    name: 'rolling',
    describe: 'every sidecar says farewell and is replaced, one every 400 ms',
    seconds: 40,
    events: Array.from({ length: NODES }, (_, place) => ({
      at: THEN + place * 0.4,
      act: (fleet: SimFleet) => {
        fleet.unlist(place);
        fleet.leave(place);
        fleet.time.after(200, () => fleet.start(place));
      },
    })),
    measure: ({ oracle }) => ({
      rolling_mean_pct: oracle.meanPct(ms(THEN), ms(THEN + 20)),
      rolling_excess_pct: oracle.excessPct(ms(THEN), ms(40)),
    }),
  },
  {
    ...base,
    name: 'scale-up',
    describe: 'two sidecars become fifty within two seconds',
    startApartMs: 0,
    seconds: 24,
    load: (seconds, place, places) => OVERLOAD * (seconds < THEN + 2 ? (place < 2 ? 0.5 : 0) : skewed(place, places)),
    measure: ({ oracle }) => ({
      scale_up_excess_pct: oracle.excessPct(ms(THEN - 1), ms(24)),
      scale_up_mean_pct: oracle.meanPct(ms(THEN), ms(24)),
    }),
  },
  {
    ...base,
    name: 'lossy',
    describe: 'a fifth of all datagrams is lost, one in twenty comes twice',
    events: [
      {
        at: 0,
        act: ({ net }) => {
          net.weather = { ...net.weather, loss: 0.2, duplication: 0.05 };
        },
      },
    ],
    measure: ({ oracle }) => ({
      lossy_mean_pct: oracle.meanPct(ms(WARM), ms(20)),
      lossy_excess_pct: oracle.excessPct(ms(WARM), ms(20)),
    }),
  },
  {
    ...base,
    name: 'pauses',
    describe: 'every half second a sidecar stands still for two seconds',
    seconds: 24,
    events: Array.from({ length: 20 }, (_, at) => ({
      at: THEN + at / 2,
      act: ({ places, random }: SimFleet) => places[Math.floor(random.float() * places.length)]?.process.pause(2000),
    })),
    measure: ({ oracle }) => ({
      pauses_mean_pct: oracle.meanPct(ms(THEN), ms(24)),
      pauses_excess_pct: oracle.excessPct(ms(THEN - 1), ms(24)),
    }),
  },
  {
    ...base,
    name: 'skew',
    describe: 'wall clocks differ by up to half a minute, and twice a second one is set by up to an hour, back or on',
    skewMs: skewed30s,
    seconds: 24,
    events: Array.from({ length: 20 }, (_, at) => ({ at: THEN + at / 2, act: setClock })),
    measure: ({ oracle }) => ({
      skew_mean_pct: oracle.meanPct(ms(WARM), ms(24)),
      skew_excess_pct: oracle.excessPct(ms(WARM), ms(24)),
    }),
  },
  {
    ...base,
    nodes: 20,
    name: 'keys',
    describe:
      'sealed frames; the key is replaced: the new one added, made first, the old one removed, each over two seconds',
    seconds: 26,
    keys: [OLD_KEY],
    events: [[OLD_KEY, NEW_KEY], [NEW_KEY, OLD_KEY], [NEW_KEY]].map((keys, step) => ({
      at: THEN + 4 * step,
      act: ({ places, random, time }: SimFleet) => {
        for (const each of places) time.after(2000 * random.float(), () => each?.keyring?.use(keys));
      },
    })),
    measure: ({ oracle, places }) => ({
      keys_mean_pct: oracle.meanPct(ms(WARM), ms(26)),
      keys_excess_pct: oracle.excessPct(ms(WARM), ms(26)),
      keys_refused_frames: places.reduce((sum, each) => sum + unopened(each?.gossip.counts.refused), 0),
    }),
  },
  {
    ...base,
    nodes: 20,
    name: 'dns-stale',
    describe: 'the seeds of twenty sidecars stand still while ten leave and ten come, at other addresses',
    seconds: 50,
    events: [
      {
        at: THEN,
        act: (fleet) => {
          fleet.dns = fleet.listed;
        },
      },
      ...Array.from({ length: 10 }, (_, at) => ({
        at: THEN + 1 + at / 2,
        act: (fleet: SimFleet) => {
          const place = Math.floor(fleet.random.float() * fleet.places.length);
          fleet.unlist(place);
          fleet.leave(place);
          fleet.start(fleet.places.length);
        },
      })),
    ],
    measure: ({ oracle }) => ({
      dns_stale_mean_pct: oracle.meanPct(ms(THEN), ms(50)),
      dns_stale_excess_pct: oracle.excessPct(ms(THEN), ms(50)),
    }),
  },
  {
    ...base,
    nodes: 20,
    name: 'dns-empty',
    describe: 'the seeds name nobody for half a minute, in which ten of twenty sidecars are killed and started again',
    seconds: 54,
    events: [
      {
        at: THEN,
        act: (fleet) => {
          fleet.dns = [];
          fleet.time.after(ms(32), () => {
            fleet.dns = undefined;
          });
        },
      },
      ...Array.from({ length: 10 }, (_, at) => ({
        at: THEN + 1 + 2 * at,
        act: (fleet: SimFleet) => {
          const place = Math.floor(fleet.random.float() * fleet.places.length);
          fleet.crash(place);
          fleet.time.after(1000, () => fleet.start(place));
        },
      })),
    ],
    measure: ({ oracle }) => ({
      dns_empty_mean_pct: oracle.meanPct(ms(THEN), ms(54)),
      dns_empty_excess_pct: oracle.excessPct(ms(THEN), ms(54)),
    }),
  },
  {
    ...base,
    nodes: 20,
    name: 'views',
    describe:
      'a cut, crash, farewell, pause or set clock each second for half a minute, a cut of ten seconds, three that go for good; then nothing',
    limit: 100,
    burst: 10,
    seconds: 104,
    events: [
      ...Array.from({ length: 30 }, (_, at) => ({ at: 4 + at, act: mischief })),
      ...cutAt(36),
      {
        at: 47,
        act: (fleet) => {
          for (const place of [3, 7]) fleet.crash(place);
          fleet.leave(5);
        },
      },
    ],
    measure: ({ views }) => ({ views_settled_ms: views.settledMs }),
  },
  {
    ...base,
    name: 'strict',
    describe:
      'a strict limit at three times of it, skewed, for three of four seconds: what a part cannot take is refused',
    isStrict: true,
    seconds: 30,
    load: (seconds, place, places) => (seconds % 4 < 3 ? OVERLOAD : 0) * skewed(place, places),
    measure: ({ oracle }) => ({
      strict_served_pct: oracle.servedPct(ms(WARM), ms(30)),
      strict_excess_pct: oracle.excessPct(0, ms(30)),
    }),
  },
  {
    ...base,
    name: 'strict-chaos',
    describe:
      'the same of twenty sidecars, with cuts, crashes, farewells, pauses and clocks that are set, one a second by chance',
    nodes: 20,
    isStrict: true,
    seconds: 80,
    load: (seconds, place, places) => (seconds % 4 < 3 ? OVERLOAD : 0) * skewed(place, places),
    skewMs: skewed30s,
    events: Array.from({ length: 60 }, (_, at) => ({ at: 4 + at, act: mischief })),
    measure: ({ oracle }) => ({
      strict_chaos_served_pct: oracle.servedPct(ms(WARM), ms(80)),
      strict_excess_pct: oracle.excessPct(0, ms(80)),
    }),
  },
  {
    ...base,
    name: 'small',
    describe: 'ten a second for fifty sidecars, with a burst of ten; three times that is asked for',
    limit: 10,
    burst: 10,
    seconds: 60,
    measure: ({ oracle }) => ({
      small_mean_pct: oracle.meanPct(ms(WARM), ms(60)),
      small_excess_pct: oracle.excessPct(ms(WARM), ms(60)),
    }),
  },
  ...[600, 1200].map(
    (offered): Scenario => ({
      ...base,
      name: `skipper-${offered}`,
      describe: `450 a minute for ten sidecars, ${offered} offered: Skipper's published case (zalando/skipper#942)`,
      nodes: 10,
      limit: 450 / 60,
      burst: 450 / 60,
      seconds: 130,
      load: (_, __, places) => offered / 450 / places,
      measure: ({ oracle }) => ({ [`skipper_${offered}_per_min`]: (oracle.meanPct(ms(10), ms(130)) * 450) / 100 }),
    }),
  ),
  {
    ...base,
    name: 'many',
    describe: '10,000 tenants: in ten seconds each asks at five of fifty sidecars; one of them floods',
    limit: 200,
    burst: 400,
    others: 10_000,
    othersPerSec: 5000,
    seconds: 14,
    measure: (fleet) => ({ gossip_bytes_per_s: fleet.bytesPerSidecarSec }),
  },
  {
    ...base,
    name: 'large',
    describe: 'two hundred sidecars',
    nodes: 200,
    limit: 4 * LIMIT,
    burst: 4 * BURST,
    seconds: 12,
    measure: ({ oracle }) => ({
      large_mean_pct: oracle.meanPct(ms(WARM), ms(12)),
      large_excess_pct: oracle.excessPct(ms(WARM), ms(12)),
    }),
  },
];
