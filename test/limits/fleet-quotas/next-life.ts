/** Lives that have the disk of another before them. */
import type { FleetRow } from '../../../src/limits/fleet-quotas/row.ts';
import type { CounterRow } from '../../../src/limits/quotas/counter-store.ts';
import type { AheadRow, Inheritance } from '../../../src/limits/quotas/own-log.ts';
import type { Fleet, Sidecar } from './world.ts';

export type Disk = { readonly counts: readonly CounterRow[]; readonly claims: readonly FleetRow[] };

export function diskOf({ fleet }: Sidecar): Disk {
  return { counts: [...fleet.counters.rows()], claims: [...fleet.claims.rows()] };
}

export function lifeOf(
  fleet: Fleet,
  disk: Disk,
  actor: string,
  ahead: readonly AheadRow[] = [],
  as: Inheritance = 'crashed',
): Sidecar {
  const life = fleet.add();
  for (const each of disk.counts) life.fleet.counters.merge(each);
  for (const each of disk.claims) life.fleet.claims.merge(each);
  life.fleet.inherit([actor], life.fleet.heritage({ actor, as, crashes: 0, ahead }));
  return life;
}

/** The next life of one that is gone, with all that it knew. */
export function again(fleet: Fleet, before: Sidecar, ahead: readonly AheadRow[]): Sidecar {
  fleet.end(before, 'dead');
  return lifeOf(fleet, diskOf(before), before.actor, ahead);
}
