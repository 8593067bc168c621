/** `--simulated`: each kind of history so many times, and what came of it. */
import type { HistoryKind } from './history.ts';
import { runHistories, type Tally } from './runner.ts';

export interface Simulated {
  readonly count: number;
  readonly seed: number;
  readonly kinds: readonly HistoryKind[];
  readonly isJson: boolean;
}

/** Between two lines of progress. */
const PROGRESS_MS = 2000;

/** Returns the exit code. */
export async function runSimulated({ count, seed, kinds, isJson }: Simulated): Promise<number> {
  const results: Record<string, Tally & { readonly seconds: number }> = {};
  for (const { name } of kinds) {
    const began = performance.now();
    const seconds = (): number => Math.round((performance.now() - began) / 100) / 10;
    let toldMs = began;
    const tally = await runHistories(name, seed, count, ({ histories, violations }) => {
      if (performance.now() < toldMs + PROGRESS_MS) return;
      toldMs = performance.now();
      process.stderr.write(`${name}: ${histories} of ${count} histories, ${violations} violations, ${seconds()} s\n`);
    });
    results[name] = { ...tally, seconds: seconds() };
  }
  process.stdout.write(isJson ? `${JSON.stringify({ seed, histories: results }, null, 2)}\n` : text(seed, results));
  return Object.values(results).every(({ violations }) => violations === 0) ? 0 : 1;
}

function text(seed: number, results: Readonly<Record<string, Tally & { readonly seconds: number }>>): string {
  const lines: string[] = [];
  for (const [name, { histories, violations, firstViolation, seeds, counts, seconds }] of Object.entries(results)) {
    lines.push(`${name}: ${histories} histories from seed ${seed}, ${violations} violations, ${seconds} s`);
    lines.push(
      `  ${Object.entries(counts)
        .map(([what, times]) => `${times} ${what}`)
        .join(' · ')}`,
    );
    if (firstViolation === undefined) continue;
    lines.push(`  the first, with seed ${firstViolation.seed}: ${firstViolation.violation}`);
    lines.push(`  seeds: ${seeds.join(' ')}`);
    lines.push(`  again: npm run crash -- --simulated 1 --seed ${firstViolation.seed} --history ${name}`);
  }
  return `${lines.join('\n')}\n`;
}
