/** What is done to a fleet, and what is measured of it. Loads are in limits: 3 is three times the limit, of all sidecars together. */
import type { SimFleet } from './fleet.ts';

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
    events: [
      {
        at: THEN,
        act: ({ net, addresses }) => {
          const heal = net.cut(
            addresses.filter((_, place) => place % 5 < 3),
            addresses.filter((_, place) => place % 5 >= 3),
          );
          net.time.after(ms(10), heal);
        },
      },
    ],
    measure: ({ oracle }) => ({
      partition_excess_pct: oracle.excessPct(ms(THEN - 1), ms(THEN + 10)),
      partition_mean_pct: oracle.meanPct(ms(THEN), ms(THEN + 10)),
      heal_excess_pct: oracle.excessPct(ms(THEN + 10), ms(28)),
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
    seconds: 16,
    measure: ({ oracle }) => ({
      large_mean_pct: oracle.meanPct(ms(WARM), ms(16)),
      large_excess_pct: oracle.excessPct(ms(WARM), ms(16)),
    }),
  },
];
