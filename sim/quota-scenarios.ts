/** What is done to a fleet that shares a quota, and what is measured of it. */
import type { QuotaEvent, QuotaFleet, QuotaScenario } from './quota-fleet.ts';
import { DAY_MS, WARM } from './quota-fleet.ts';
import { mischief, setClock, skewed, skewed30s } from './scenarios.ts';
import { EPOCH_MS } from './time.ts';

const NODES = 20;
const hard = {
  nodes: NODES,
  isHard: true,
  limit: 20_000,
  seconds: WARM + 40,
  perSec: 1000,
  part: skewed,
  measure: (fleet: QuotaFleet): Record<string, number> => ({ hard_quota_exceeded: fleet.exceeded }),
};
const served =
  (name: string) =>
  (fleet: QuotaFleet): Record<string, number> => ({
    hard_quota_exceeded: fleet.exceeded,
    [`hard_served_pct_${name}`]: fleet.servedPct,
  });
/** Then something happens. */
const THEN = WARM + 6;
/** From the first moment of a run, ms. */
const TO_MIDNIGHT = DAY_MS - (EPOCH_MS % DAY_MS);

/** Cuts the places for which `isHere` from the others. */
const cut =
  (isHere: (place: number) => boolean, isThere = (place: number): boolean => !isHere(place)) =>
  ({ net, addresses }: QuotaFleet): (() => void) =>
    net.cut(
      addresses.filter((_, place) => isHere(place)),
      addresses.filter((_, place) => isThere(place)),
    );

const again = (place: number, at: number, isDiskKept: boolean, of: 'process' | 'power' = 'process'): QuotaEvent => ({
  at,
  act: (fleet) => {
    if (place >= fleet.scenario.nodes) return;
    fleet.crash(place, of);
    fleet.time.after(1000, () => fleet.start(place, isDiskKept));
  },
});

/** Every second disk is full, the others fail to sync. */
const refuse = ({ disks }: QuotaFleet): void => {
  for (const [place, disk] of disks.entries())
    if (place % 2 === 0) disk.room = 0;
    else disk.fault = (call) => (call === 'sync' ? 'EIO' : undefined);
};

const mend = ({ disks }: QuotaFleet): void => {
  for (const disk of disks) {
    disk.room = Number.POSITIVE_INFINITY;
    disk.fault = () => undefined;
  }
};

/** Most of the fleet ends at once, each in its own way, and comes back with its disk, one soon and another late. */
const outage = (fleet: QuotaFleet): void => {
  const { random, scenario, time } = fleet;
  for (let place = 0; place < scenario.nodes; place++) {
    const kind = random.float();
    if (kind < 0.1) continue;
    if (kind < 0.4) fleet.leave(place);
    else fleet.crash(place, kind < 0.7 ? 'process' : 'power');
    time.after(500 + 4000 * random.float(), () => {
      if (fleet.places[place] === undefined) fleet.start(place);
    });
  }
};

/** All machines stop; every second one is another when it comes back, some time in half a minute. */
const mixed = (fleet: QuotaFleet): void => {
  for (let place = 0; place < fleet.scenario.nodes; place++) {
    fleet.crash(place, 'power');
    fleet.time.after(1000 + 30_000 * fleet.random.float(), () => fleet.start(place, place % 2 === 0));
  }
};

/** What is lost beyond what may be. */
const lostOf = (fleet: QuotaFleet): number => Math.max(0, fleet.lost - fleet.atRisk);

const rolling = Array.from({ length: NODES }, (_, place) => ({
  at: THEN + place * 0.7,
  act: (fleet: QuotaFleet): void => {
    if (place >= fleet.scenario.nodes) return;
    fleet.leave(place);
    fleet.time.after(1200, () => fleet.start(place, false));
  },
}));

export const QUOTA_SCENARIOS: readonly QuotaScenario[] = [
  {
    ...hard,
    name: 'quota-soft',
    describe: 'a soft quota of ten million, nearly used, at 1,000 a second, skewed: how far beyond it is refused',
    nodes: 50,
    isHard: false,
    limit: 1e7,
    used: 1e7 - 15_000,
    measure: (fleet) => ({
      soft_quota_error_pct:
        (100 * Math.abs(fleet.admitted + (fleet.scenario.used as number) - fleet.scenario.limit)) /
        fleet.scenario.limit,
      soft_quota_excess_units: fleet.exceeded,
      events_per_crossing: fleet.events.length,
    }),
  },
  {
    ...hard,
    name: 'quota-hard',
    describe: 'a hard quota of 20,000 at 1,000 a second, skewed',
    measure: (fleet) => ({ ...served('steady')(fleet), events_per_crossing: fleet.events.length }),
  },
  {
    ...hard,
    name: 'quota-small',
    describe: 'a hard quota of 300 at 20 a second, skewed',
    limit: 300,
    perSec: 20,
    measure: served('small'),
  },
  {
    ...hard,
    name: 'quota-move',
    describe: 'all requests come to one sidecar, and after a while to another',
    part: (place, places, seconds) => Number(place === (seconds < THEN ? 0 : places - 1)),
    measure: served('move'),
  },
  {
    ...hard,
    name: 'quota-cut',
    describe: 'cut 60 to 40 for good',
    events: [{ at: THEN, act: (fleet) => void cut((place) => place % 5 < 3)(fleet) }],
    measure: served('cut'),
  },
  {
    ...hard,
    name: 'quota-halves',
    describe: 'cut in two from the first moment, healed after half a minute',
    seconds: WARM + 60,
    events: [
      {
        at: 0.3,
        act: (fleet) => fleet.time.after(WARM * 1000 + 30_000, cut((place) => place % 2 === 0)(fleet)),
      },
    ],
    measure: served('halves'),
  },
  {
    ...hard,
    name: 'quota-bridge',
    describe: 'two halves that only one sidecar reaches both',
    events: [
      {
        at: THEN,
        act: (fleet) =>
          void cut(
            (place) => place > 0 && place % 2 === 0,
            (place) => place % 2 === 1,
          )(fleet),
      },
    ],
    measure: served('bridge'),
  },
  {
    ...hard,
    name: 'quota-crash',
    describe: 'every second one is killed and comes back without its disk',
    events: Array.from({ length: 10 }, (_, i) => again(i, THEN + i, false)),
    measure: (fleet) => ({ ...served('crash')(fleet), counts_lost_crash: lostOf(fleet) }),
  },
  {
    ...hard,
    name: 'quota-crash-disk',
    describe: 'every second one is killed and comes back with its disk',
    hasDisk: true,
    events: Array.from({ length: 10 }, (_, i) => again(i, THEN + i, true)),
    measure: (fleet) => ({ ...served('crash_disk')(fleet), counts_lost_crash: lostOf(fleet) }),
  },
  {
    ...hard,
    name: 'quota-power',
    describe: 'the machine of every second one stops, and comes back with what its disk had synced',
    hasDisk: true,
    events: Array.from({ length: 10 }, (_, i) => again(i, THEN + i, true, 'power')),
    measure: (fleet) => ({ ...served('power')(fleet), counts_lost_crash: lostOf(fleet) }),
  },
  {
    ...hard,
    name: 'quota-blackout',
    describe: 'all machines stop at once, and come back with what their disks had synced',
    hasDisk: true,
    events: Array.from({ length: NODES }, (_, i) => again(i, THEN, true, 'power')),
    measure: (fleet) => ({ ...served('blackout')(fleet), counts_lost_crash: lostOf(fleet) }),
  },
  {
    ...hard,
    name: 'quota-mixed',
    describe: 'all machines stop at once, and come back over half a minute, every second one with its disk',
    hasDisk: true,
    seconds: WARM + 80,
    events: [{ at: THEN, act: mixed }],
    measure: served('mixed'),
  },
  {
    ...hard,
    name: 'quota-outages',
    describe:
      'four times nine of ten end at once, killed, stopped or their machines off, and come back with their disks; mischief between',
    hasDisk: true,
    limit: 6000,
    perSec: 300,
    seconds: WARM + 60,
    events: [
      ...Array.from({ length: 4 }, (_, at) => ({ at: THEN + 8 * at, act: outage })),
      ...Array.from({ length: 20 }, (_, at) => ({ at: THEN + 1.7 * at, act: mischief })),
    ],
    measure: served('outages'),
  },
  {
    ...hard,
    name: 'quota-disk-full',
    describe:
      'for twelve seconds all disks are full or fail to sync; in them every second one is killed, or its machine stops',
    hasDisk: true,
    events: [
      { at: THEN, act: refuse },
      ...Array.from({ length: 10 }, (_, i) => again(i, THEN + 1 + i, true, i % 4 < 2 ? 'process' : 'power')),
      { at: THEN + 12, act: mend },
    ],
    measure: (fleet) => ({ ...served('disk_full')(fleet), counts_lost_crash: lostOf(fleet) }),
  },
  {
    ...hard,
    name: 'quota-rolling',
    describe: 'every sidecar leaves and is replaced, one after the other',
    events: rolling,
    measure: (fleet) => ({ ...served('rolling')(fleet), counts_lost_rolling: fleet.lost }),
  },
  {
    ...hard,
    name: 'quota-restart',
    describe: 'all are stopped at once and started again with their disks',
    hasDisk: true,
    seconds: WARM + 60,
    events: [
      {
        at: THEN,
        act: (fleet) => {
          for (let place = 0; place < fleet.scenario.nodes; place++) fleet.leave(place);
          for (let place = 0; place < fleet.scenario.nodes; place++)
            fleet.time.after(2000 + 100 * place, () => fleet.start(place));
        },
      },
    ],
    measure: (fleet) => ({ ...served('restart')(fleet), counts_lost_rolling: fleet.lost }),
  },
  {
    ...hard,
    name: 'quota-rolling-soft',
    describe: 'the same of a soft quota that is far from used',
    isHard: false,
    limit: 1e9,
    events: rolling,
    measure: (fleet) => ({ counts_lost_rolling: fleet.lost }),
  },
  {
    ...hard,
    name: 'quota-skew',
    describe: 'wall clocks differ by up to half a minute, and once a second one is set by up to an hour, back or on',
    skewMs: skewed30s,
    events: Array.from({ length: 20 }, (_, at) => ({ at: WARM + at, act: setClock })),
    measure: served('skew'),
  },
  {
    ...hard,
    name: 'quota-midnight',
    describe: 'a day ends while wall clocks differ by up to half a minute, and some are set back into the day before',
    // Midnight of the clock that is right.
    skewMs: (random) => TO_MIDNIGHT - (THEN + 10) * 1000 + skewed30s(random),
    seconds: WARM + 80,
    events: Array.from({ length: 10 }, (_, at) => ({
      at: THEN + 20 + at,
      act: ({ places, random }: QuotaFleet) => {
        const one = places[Math.floor(random.float() * places.length)];
        if (one !== undefined) one.process.skewMs -= 60_000;
      },
    })),
    measure: served('midnight'),
  },
  {
    ...hard,
    name: 'quota-many',
    describe: '10,000 tenants with quotas: in ten seconds each asks at five of fifty sidecars',
    nodes: 50,
    isHard: false,
    limit: 1e9,
    seconds: WARM + 12,
    others: 10_000,
    othersPerSec: 5000,
    measure: (fleet) => ({ gossip_quota_bytes_per_s: fleet.bytesPerSidecarSec }),
  },
  {
    ...hard,
    name: 'quota-chaos',
    describe: 'cuts, crashes with and without disk, farewells, pauses and clocks that are set, one a second by chance',
    hasDisk: true,
    seconds: WARM + 60,
    perSec: 600,
    events: Array.from({ length: 40 }, (_, at) => ({ at: 4 + at, act: mischief })),
    measure: served('chaos'),
  },
];
