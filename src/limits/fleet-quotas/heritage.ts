/** What a life says of the one before it of the same process, whose disk it has: whose all that was is now, and how much of it may be spent. */
import type { LastLife } from '../quotas/own-log.ts';
import type { Claims } from './claims.ts';
import { type Heirs, type WillKind, willRow } from './heirs.ts';
import { type FleetRow, keyOf, NOBODY, row } from './row.ts';

export interface HeritageWorld {
  readonly claims: Claims;
  readonly heirs: Heirs;
  readonly self: string;
  /** In UTC. */
  readonly today: number;
}

/** The will is the last. What else the last life did stands in claims. */
export function heritageOf(
  { claims, heirs, self, today }: HeritageWorld,
  { actor: last, as, crashes, ahead }: LastLife,
): FleetRow[] {
  const will = (says: WillKind): FleetRow => willRow(today, last, self, says, crashes);
  if (as === 'heir') return [will('heir')];
  if (as === 'next' || heirs.hasLeft(last)) return [will('next')];
  const most = new Map<string, FleetRow>();
  for (const { tenant, meter, day, units, spent } of ahead) {
    const key = { kind: 'grant', tenant, meter, day, from: last, to: NOBODY } as const;
    const said = claims.get({ ...key, kind: 'spent' })?.x ?? 0;
    const { x, y } = most.get(keyOf(key)) ?? { x: 0, y: 0 };
    if (units > said) most.set(keyOf(key), row(key, Math.max(units, x), Math.max(spent, y)));
  }
  return [...most.values(), will('crash')];
}
