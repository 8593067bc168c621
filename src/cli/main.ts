/** Runs the command and turns what went wrong into one line and an exit code. */
import { CommanderError } from 'commander';
import { ReeveError } from '../core/index.ts';
import { EXIT } from './exit.ts';
import { buildProgram } from './program.ts';

// Who reads a pipe may have had enough (`| head -1`); that is no failure.
process.stdout.on('error', (cause: NodeJS.ErrnoException) =>
  process.exit(cause.code === 'EPIPE' ? EXIT.good : EXIT.findings),
);
try {
  await buildProgram().parseAsync(process.argv);
} catch (cause) {
  process.exitCode = explainFailure(cause);
}

function explainFailure(cause: unknown): number {
  if (cause instanceof CommanderError) return cause.exitCode === 0 ? EXIT.good : EXIT.usage;
  if (cause instanceof ReeveError) {
    process.stderr.write(`reeve: ${String(cause)}\n`);
    return cause.code === 'unreachable' ? EXIT.unreachable : cause.code === 'usage' ? EXIT.usage : EXIT.findings;
  }
  process.stderr.write(`reeve: ${(cause as Error).stack ?? String(cause)}\n`);
  return EXIT.findings;
}
