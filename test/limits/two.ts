/** Two sidecars that share the limits of a tenancy, under a clock of the test. */
import type { Member } from '../../src/gossip/index.ts';
import { FleetRates } from '../../src/limits/fleet/fleet-rates.ts';
import { ManualClock } from '../helpers/manual-clock.ts';
import { tenant, type World, world } from './world.ts';

export const peer = {
  slot: 1,
  state: 'alive',
  isListed: true,
  name: 'pod',
  incarnation: '1',
  address: 'a:1',
} as Member;

export interface Two {
  readonly clock: ManualClock;
  readonly fleets: readonly [FleetRates, FleetRates];
  readonly worlds: readonly [World, World];
  /** A turn of both, and each hears what the other says. */
  turn(): void;
}

export async function two(plans: string, routes = ''): Promise<Two> {
  const clock = new ManualClock();
  const made = [0, 1].map(() => new FleetRates({ clock, partition: 'hold' })) as [FleetRates, FleetRates];
  const worlds = (await Promise.all(
    made.map((fleet) => world(plans, tenant('acme') + tenant('globex'), routes, { clock, fleet })),
  )) as [World, World];
  for (const each of made) each.onMember(peer);
  const bytes = new Uint8Array(10_000);
  return {
    clock,
    fleets: made,
    worlds,
    turn() {
      for (const each of made) each.tick();
      for (const [from, to] of [made, [...made].reverse()] as FleetRates[][]) {
        const after = (to as FleetRates).version(1);
        const { offset, upTo } = (from as FleetRates).write(0, after, bytes, 0, bytes.length);
        if (upTo > after) (to as FleetRates).read(1, after, upTo, bytes.subarray(0, offset));
      }
    },
  };
}
