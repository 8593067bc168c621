/** What went wrong in a command: said on standard error, and the exit code of it. */
import { CommanderError } from 'commander';
import { ReeveError } from '../core/index.ts';
import { EXIT } from './exit.ts';

export function explainFailure(cause: unknown): number {
  if (cause instanceof CommanderError) return cause.exitCode === 0 ? EXIT.good : EXIT.usage;
  if (cause instanceof ReeveError) {
    process.stderr.write(`${String(cause).replaceAll(/^/gm, 'reeve: ')}\n`);
    return cause.code === 'unreachable' ? EXIT.unreachable : cause.code === 'usage' ? EXIT.usage : EXIT.findings;
  }
  if (cause instanceof AggregateError) return Math.max(...cause.errors.map(explainFailure));
  process.stderr.write(`reeve: ${(cause as Error).stack ?? String(cause)}\n`);
  return EXIT.findings;
}
