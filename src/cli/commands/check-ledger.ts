/** What `reeve check` says of a collector's ledger as it lies there; read whole, nothing is written. */
import { join } from 'node:path';
import { type Inspection, inspectLog, systemDisk } from '../../wal/index.ts';
import { bad, type Check, good } from './check-result.ts';

/** Of damage that is shown; `reeve wal inspect` shows all. */
const DAMAGE_MAX = 20;

/** `dir`: the collector's. */
export function ledgerChecks(dir: string): Check[] {
  const ledger = join(dir, 'ledger');
  let found: Inspection;
  try {
    found = inspectLog(systemDisk, ledger, () => {});
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    if (code === undefined) throw cause;
    if (code === 'ENOENT') return [good(`ledger is sound; it will be made: ${ledger}`)];
    return [bad('ledger is readable', `${ledger}: ${code}`, 'let the user of this process read it')];
  }
  // A crash of the machine leaves one; it was never synced.
  const damage = found.damage.filter(({ what }) => what !== 'torn tail');
  const checks: Check[] = [];
  if (damage.length > 0)
    checks.push(
      bad(
        'ledger is sound',
        damage
          .slice(0, DAMAGE_MAX)
          .map(({ what, path, offset, detail }) => `${path} at ${offset}: ${what}: ${detail}`)
          .join('\n'),
        `look at the disk, and put back what is missing before the next start; all of it says: reeve wal inspect ${ledger}`,
      ),
    );
  else checks.push(good(`ledger is sound (${found.segments.length} segments)`));
  if (found.aside.length > 0)
    checks.push(
      bad(
        'ledger is whole',
        found.aside.map((name) => `${join(ledger, name)} was found damaged and put aside`).join('\n'),
        'what stood in it is in the sums, if they were saved since; do not rebuild them. Remove it once it was looked at',
        'warning',
      ),
    );
  return checks;
}
