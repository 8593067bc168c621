/** `reeve wal inspect`: what stands in a spool or a ledger, and what is wrong with it; read-only, also while its owner runs. */
import { join } from 'node:path';
import { ReeveError } from '../../core/index.ts';
import { type Damage, type Frame, type Inspection, inspectLog, type Origin, systemDisk } from '../../wal/index.ts';
import { EXIT } from '../exit.ts';
import { DECODERS } from '../log-decoders.ts';
import { BUT, type Cell, type Form, NO, paint, printJson, printRows, table } from '../output.ts';
import { count } from './config.ts';

/** Shown of a body that nobody decodes. */
const BYTES_SHOWN = 64;
/** They are held until all was read. */
const RECORDS_MAX = 10_000;

interface Asking {
  readonly output: Form | 'table';
  readonly records: string;
}

interface Shown {
  readonly segment: number;
  readonly offset: number;
  readonly bytes: number;
  readonly record: unknown;
}

interface Finding extends Damage {
  readonly remedy: string;
}

const REMEDIES: Readonly<Record<Damage['what'], string>> = {
  'torn tail': 'nothing to do: the next start cuts it off; it was never synced',
  corrupt: 'look at the disk; the next start keeps every other frame',
  unreadable: 'look at the disk; the next start puts the file aside',
  missing: 'put the file back before the next start, if there is a copy',
};

export function inspect(dir: string, { output, records }: Asking): void {
  const shownMax = recordsOf(records);
  const shown: Shown[] = [];
  const found = look(dir, (frame, origin) => {
    if (shownMax === 0) return;
    shown.push(shownOf(frame, origin));
    if (shown.length > shownMax) shown.shift();
  });
  const findings: Finding[] = found.damage.map((each) => ({ ...each, remedy: REMEDIES[each.what] }));
  if (output === 'json') printJson({ dir, ...found, damage: undefined, findings, records: shown });
  else print(dir, found, findings, shown, output === 'table');
  if (findings.length + found.aside.length > 0) process.exitCode = EXIT.findings;
}

function recordsOf(text: string): number {
  const records = Number(text);
  if (Number.isInteger(records) && records >= 0 && records <= RECORDS_MAX) return records;
  throw new ReeveError('usage', `is no number of records: ${JSON.stringify(text)}`, {
    place: '--records',
    remedy: `a whole number up to ${RECORDS_MAX}`,
  });
}

function look(dir: string, onFrame: (frame: Frame, origin: Origin) => void): Inspection {
  const remedy = 'name the directory of a spool or a ledger';
  try {
    const found = inspectLog(systemDisk, dir, onFrame);
    if (found.segments.length + found.aside.length > 0) return found;
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    if (code === undefined) throw cause;
    throw new ReeveError('usage', `cannot be read: ${code}`, { place: dir, remedy, cause });
  }
  throw new ReeveError('usage', 'has no segment of a log', { place: dir, remedy });
}

function shownOf({ segment, offset, body }: Frame, { kind, head }: Origin): Shown {
  const bytes = body.toString('hex', 0, BYTES_SHOWN) + (body.length > BYTES_SHOWN ? '…' : '');
  return { segment, offset, bytes: body.length, record: DECODERS[kind]?.(body, head) ?? bytes };
}

function print(
  dir: string,
  { isInUse, segments, aside }: Inspection,
  findings: readonly Finding[],
  shown: readonly Shown[],
  isTable: boolean,
): void {
  const rows = (head: readonly string[], cells: readonly (readonly Cell[])[]): void => {
    if (isTable) process.stdout.write(table(head, cells));
    else printRows(head, cells);
  };
  rows(
    ['SEGMENT', 'KIND', 'BYTES', 'FRAMES', 'SEALED', 'GAPS', 'LOST'],
    segments.map(({ number, kind = '-', bytes, frames, isSealed, gaps, gapBytes }) => [
      ...[number, kind, bytes, frames, isSealed ? 'yes' : 'no', gaps, gapBytes],
    ]),
  );
  if (shown.length > 0)
    rows(
      ['SEGMENT', 'OFFSET', 'BYTES', 'RECORD'],
      shown.map(({ segment, offset, bytes, record }) => [
        ...[segment, offset, bytes, typeof record === 'string' ? record : JSON.stringify(record)],
      ]),
    );
  for (const { what, path, offset, bytes, detail, remedy } of findings) {
    const sign = what === 'torn tail' ? BUT() : NO();
    process.stdout.write(`${sign} ${path}:${offset} ${what}, ${count(bytes, 'byte')}: ${detail} (${remedy})\n`);
  }
  for (const name of aside)
    process.stdout.write(
      `${BUT()} ${join(dir, name)} was put aside by an earlier start (keep it for whoever looks into it, or remove it)\n`,
    );
  const frames = segments.reduce((sum, each) => sum + each.frames, 0);
  const summary = [
    count(segments.length, 'segment'),
    count(frames, 'frame'),
    count(findings.length + aside.length, 'finding'),
    isInUse ? 'in use' : 'not in use',
  ];
  process.stdout.write(`${paint(findings.length > 0 ? 'red' : 'green', summary.join(', '))}\n`);
}
