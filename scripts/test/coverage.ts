/** Is each room covered by its own tests? */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { Report } from 'c8';
import type { Outcome } from './file.ts';

/**
 * The coverage each room has by its own tests, lines and branches in percent; less fails. 100 and 100 for identity, limits, gossip, tenants
 * and pipeline, at least 90 and 90 for the others. A floor only ever rises.
 */
const FLOORS: Readonly<Record<string, readonly [number, number]>> = {
  admin: [99, 95],
  cli: [98, 93],
  collector: [98, 92],
  core: [100, 100],
  gossip: [100, 100],
  identity: [100, 100],
  limits: [100, 100],
  metering: [99, 96],
  pipeline: [100, 100],
  proxy: [98, 92],
  'proxy/fast': [98, 92],
  telemetry: [100, 100],
  tenants: [100, 100],
  wal: [100, 100],
  wire: [100, 99],
};

type Sum = readonly [covered: number, total: number];
type Counts = Readonly<Record<'lines' | 'branches', { readonly total: number; readonly covered: number }>>;

/** What a reporter of Istanbul's form says of a file. */
interface Ran {
  readonly statementMap: Readonly<Record<string, { readonly start: { readonly line: number } }>>;
  readonly s: Readonly<Record<string, number>>;
  readonly branchMap: Readonly<Record<string, { readonly loc: { readonly start: { readonly line: number } } }>>;
  readonly b: Readonly<Record<string, readonly number[]>>;
}

/** Lines named of a file. */
const LEFT_MAX = 20;

export interface Judged {
  readonly outcomes: Outcome[];
  readonly table: string;
  /** Rooms below their floor, and which of their lines are why. */
  readonly short: readonly string[];
  readonly left: readonly string[];
}

/** Where processes leave which lines ran; removed with all in it. */
export class Coverage {
  readonly dir: string = mkdtempSync(join(tmpdir(), 'reeve-coverage-'));

  /** One outcome a room, a table for people, and of what it fell short. */
  async judge(): Promise<Judged> {
    await this.#report('json-summary');
    const summary = JSON.parse(readFileSync(join(this.dir, 'report/coverage-summary.json'), 'utf8')) as Record<
      string,
      Counts
    >;
    const outcomes: Outcome[] = [];
    const short: string[] = [];
    let table = '\ncoverage of each room by its own tests   lines  branches\n';
    for (const [room, [lineFloor, branchFloor]] of Object.entries(FLOORS)) {
      const lines = percent(room, 'lines', summary);
      const branches = percent(room, 'branches', summary);
      const isGood = lines >= lineFloor && branches >= branchFloor;
      if (!isGood) short.push(room);
      outcomes.push({
        name: `coverage of ${room}: ${lineFloor} % of lines, ${branchFloor} % of branches`,
        outcome: isGood ? 'passed' : 'failed',
        durationMs: 0,
      });
      table += `${isGood ? 'ok    ' : 'NOT OK'} ${room.padEnd(33)} ${lines.toFixed(1).padStart(6)} ${branches.toFixed(1).padStart(9)}\n`;
    }
    return { outcomes, table, short, left: short.length === 0 ? [] : await this.#leftIn(short) };
  }

  /** Lines that did not run, or from which one of two ways was never taken, by file. */
  async #leftIn(rooms: readonly string[]): Promise<string[]> {
    await this.#report('json');
    const files = JSON.parse(readFileSync(join(this.dir, 'report/coverage-final.json'), 'utf8')) as Record<string, Ran>;
    return Object.entries(files)
      .filter(([file]) => rooms.includes(roomOf(file) as string))
      .map(([file, { statementMap, s, branchMap, b }]) => {
        const lines = Object.keys(s).filter((key) => s[key] === 0);
        const ways = Object.keys(b).filter((key) => b[key]?.includes(0));
        const at = [
          ...lines.map((key) => statementMap[key]?.start.line),
          ...ways.map((key) => branchMap[key]?.loc.start.line),
        ];
        return { file, at: [...new Set(at)].sort((one, other) => (one ?? 0) - (other ?? 0)) };
      })
      .filter(({ at }) => at.length > 0)
      .map(({ file, at }) => `${relative('.', file)}: ${at.slice(0, LEFT_MAX).join(' ')}`);
  }

  /** Prints the files of which not every line and branch ran. */
  print(): Promise<void> {
    return this.#report('text');
  }

  async #report(reporter: string): Promise<void> {
    const report = new Report({
      reporter: [reporter],
      tempDirectory: this.dir,
      reportsDirectory: join(this.dir, 'report'),
      skipFull: true,
    });
    await report.run();
  }

  [Symbol.dispose](): void {
    rmSync(this.dir, { recursive: true });
  }
}

const roomOf = (file: string): string | undefined => /\/src\/(proxy\/fast|[^/]+)\/(?!generated\/)/.exec(file)?.[1];

/** A room without a test of its own is covered by nothing. */
function percent(room: string, what: keyof Counts, summary: Readonly<Record<string, Counts>>): number {
  const sums: Sum[] = Object.entries(summary)
    .filter(([file]) => roomOf(file) === room)
    .map(([, counts]) => [counts[what].covered, counts[what].total]);
  if (sums.length === 0) return 0;
  const sum = (of: 0 | 1): number => sums.reduce((all, each) => all + each[of], 0);
  return (100 * sum(0)) / Math.max(sum(1), 1);
}
