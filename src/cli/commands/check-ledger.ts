/** What `reeve check` says of a collector's ledger, and of what it keeps for sidecars, as they lie there; read whole, nothing is written. */
import { join } from 'node:path';
import { ReeveError } from '../../core/index.ts';
import { logChecks, placeChecks } from './check-log.ts';
import { bad, type Check } from './check-result.ts';

const ALWAYS = Number.POSITIVE_INFINITY;

/** `dir`: the collector's. */
export async function ledgerChecks(dir: string): Promise<Check[]> {
  const { KEPT_KIND, LEDGER_KIND } = await import('../../collector/index.ts');
  const ledger = {
    name: 'ledger',
    dir: join(dir, 'ledger'),
    kind: LEDGER_KIND,
    missing: 'where there was one, put it back before a start',
    full: 'what sidecars tell is refused until then, and they keep it',
    lost: 'what stood in it is in the sums, if they were saved since; do not rebuild them. Remove what was put aside once it was looked at',
    torn: 'a machine that stopped leaves this, and sidecars tell it again; if none did, something cut the file: put it back from a copy before the next start, or what sidecars have no more is a gap',
  };
  const kept = {
    name: 'kept log',
    dir: join(dir, 'kept'),
    kind: KEPT_KIND,
    missing: 'where there was one, sidecars that run tell it again',
    full: 'nothing more is kept until then, and sidecars ask again',
    lost: 'what stood in it sidecars tell again while they run. Remove what was put aside once it was looked at',
    torn: 'sidecars that run tell again what stood there',
  };
  const sums = {
    name: 'directory of the sums',
    dir: join(dir, 'sums'),
    full: 'nothing is saved until then, and a start takes longer',
  };
  const { checks, found } = logChecks(ledger, ALWAYS);
  const fit = await fitChecks(dir);
  return [
    // One that is gone is not made anew where sums are of it.
    ...(found === undefined && fit.length > 0 ? checks.filter(({ result }) => result === 'error') : checks),
    ...fit,
    ...placeChecks(sums, ALWAYS),
    ...logChecks(kept, ALWAYS).checks,
  ];
}

/** Nothing: they fit. */
async function fitChecks(dir: string): Promise<Check[]> {
  const { assertFits } = await import('../../collector/index.ts');
  try {
    assertFits(dir);
    return [];
  } catch (cause) {
    if (cause instanceof ReeveError)
      return [bad('ledger and sums fit', `${cause.place}: ${cause.message}`, cause.remedy as string)];
    // A ledger that cannot be read: that is said of it already.
    if ((cause as NodeJS.ErrnoException).code === undefined) throw cause;
    return [];
  }
}
