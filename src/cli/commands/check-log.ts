/** What `reeve check` says of a log as it lies there, of whatever owner: whether it can be written, and what is wrong with it. It is read whole; nothing is written. */
import { join } from 'node:path';
import { type Inspection, inspectLog, roomOf, systemDisk } from '../../wal/index.ts';
import { bad, type Check, good } from './check-result.ts';

/** Of damage that is shown; `reeve wal inspect` shows all. */
const DAMAGE_MAX = 20;
/** With less a disk takes no segment more. */
const FREE_BYTES_MIN = 16 * 2 ** 20;
/** What was appended when the machine stopped was never synced. */
const TORN = 'torn tail';

export interface LogWords {
  /** `spool`. */
  readonly name: string;
  readonly dir: string;
  /** Four letters: of what its segments are. */
  readonly kind: string;
  /** Where there is none. */
  readonly missing: string;
  /** When the disk has no room. */
  readonly full: string;
  /** Of bytes that an earlier start found damaged, in the files and in those that were put aside. */
  readonly lost: string;
  /** Of a tail that is not whole. */
  readonly torn: string;
}

export interface LogChecks {
  readonly checks: readonly Check[];
  /** Undefined: it is not there, or cannot be read. */
  readonly found: Inspection | undefined;
}

/** `wantedBytes`: that it may still grow by. */
export function logChecks(words: LogWords, wantedBytes: number): LogChecks {
  const { name, dir, missing } = words;
  try {
    const found = inspectLog(systemDisk, dir, () => {});
    return { checks: [...placeChecks(words, wantedBytes), ...stateChecks(words, found)], found };
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    if (code === undefined) throw cause;
    const checks =
      code === 'ENOENT'
        ? [...placeChecks(words, wantedBytes), good(`there is no ${name} yet: ${dir} (${missing})`)]
        : [bad(`${name} is readable`, `${dir}: ${code}`, 'let the user of this process read it')];
    return { checks, found: undefined };
  }
}

/** Of a directory alone: whether it takes more. */
export function placeChecks(
  { name, dir, full }: Pick<LogWords, 'name' | 'dir' | 'full'>,
  wantedBytes: number,
): Check[] {
  const { at, isThere, unwritable, free } = roomOf(dir);
  const made = isThere ? '' : `; it will be made in ${at}`;
  const checks = [
    unwritable === undefined
      ? good(`${name} is writable${made}`)
      : bad(
          `${name} is writable`,
          `${unwritable.path}: ${unwritable.code}`,
          `${unwritable.code === 'EROFS' ? 'mount the volume for writing' : 'mount a volume that the user may write'}: a start ends with log-unusable, or what is told is refused`,
        ),
  ];
  if (free < Math.min(FREE_BYTES_MIN, wantedBytes))
    checks.push(bad(`the disk of the ${name} has room`, `${at}: ${free} bytes are free`, `make room; ${full}`));
  return checks;
}

function stateChecks({ name, dir, kind, lost, torn }: LogWords, { segments, damage, aside }: Inspection): Check[] {
  const of = (isTorn: boolean): string =>
    damage
      .filter(({ what }) => (what === TORN) === isTorn)
      .slice(0, DAMAGE_MAX)
      .map(({ what, path, offset, detail }) => `${path} at ${offset}: ${what}: ${detail}`)
      .join('\n');
  const checks: Check[] = [];
  const damaged = of(false);
  checks.push(
    damaged === ''
      ? good(`${name} is sound (${segments.length} segments)`)
      : bad(
          `${name} is sound`,
          damaged,
          `look at the disk, and put back what is missing before the next start; all of it says: reeve wal inspect ${dir}`,
        ),
  );
  const cut = of(true);
  if (cut !== '') checks.push(bad(`${name} has its end`, cut, torn, 'warning'));
  const strange = segments.filter((segment) => segment.kind !== undefined && segment.kind !== kind);
  if (strange.length > 0)
    checks.push(
      bad(
        `${name} is a log of its own`,
        strange
          .slice(0, DAMAGE_MAX)
          .map((segment) => `${segment.path} is a segment of ${segment.kind}, not of ${kind}`)
          .join('\n'),
        'a start ends with log-unusable: move what does not belong here away',
      ),
    );
  const told = [
    ...segments
      .filter(({ gaps }) => gaps > 0)
      .slice(0, DAMAGE_MAX)
      .map(({ path, gapBytes }) => `${path}: ${gapBytes} bytes were found damaged by an earlier start`),
    ...aside.map((file) => `${join(dir, file)} was found damaged and put aside`),
  ];
  if (told.length > 0) checks.push(bad(`${name} is whole`, told.join('\n'), lost, 'warning'));
  return checks;
}
