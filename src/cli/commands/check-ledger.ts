/** What `reeve check` says of a collector's ledger, and of what it keeps for sidecars, as they lie there; read whole, nothing is written. */
import { join } from 'node:path';
import { type Inspection, inspectLog, systemDisk } from '../../wal/index.ts';
import { bad, type Check, good } from './check-result.ts';

/** Of damage that is shown; `reeve wal inspect` shows all. */
const DAMAGE_MAX = 20;

/** `dir`: the collector's. */
export function ledgerChecks(dir: string): Check[] {
  return [
    ...logChecks(
      'ledger',
      join(dir, 'ledger'),
      'what stood in it is in the sums, if they were saved since; do not rebuild them',
    ),
    ...logChecks('kept', join(dir, 'kept'), 'what stood in it sidecars tell again while they run'),
  ];
}

/** `lost`: what became of what a file held that was put aside. */
function logChecks(name: string, log: string, lost: string): Check[] {
  let found: Inspection;
  try {
    found = inspectLog(systemDisk, log, () => {});
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    if (code === undefined) throw cause;
    if (code === 'ENOENT') return [good(`${name} is sound; it will be made: ${log}`)];
    return [bad(`${name} is readable`, `${log}: ${code}`, 'let the user of this process read it')];
  }
  // A crash of the machine leaves one; it was never synced.
  const damage = found.damage.filter(({ what }) => what !== 'torn tail');
  const checks: Check[] = [];
  if (damage.length > 0)
    checks.push(
      bad(
        `${name} is sound`,
        damage
          .slice(0, DAMAGE_MAX)
          .map(({ what, path, offset, detail }) => `${path} at ${offset}: ${what}: ${detail}`)
          .join('\n'),
        `look at the disk, and put back what is missing before the next start; all of it says: reeve wal inspect ${log}`,
      ),
    );
  else checks.push(good(`${name} is sound (${found.segments.length} segments)`));
  if (found.aside.length > 0)
    checks.push(
      bad(
        `${name} is whole`,
        found.aside.map((file) => `${join(log, file)} was found damaged and put aside`).join('\n'),
        `${lost}. Remove it once it was looked at`,
        'warning',
      ),
    );
  return checks;
}
