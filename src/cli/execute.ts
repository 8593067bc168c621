/** Runs a command and turns what went wrong into one line and an exit code. */
import { CommanderError } from 'commander';
import { ReeveError } from '../core/index.ts';
import { EXIT } from './exit.ts';
import { buildProgram } from './program.ts';

/** `argv` as of a process: the first two words are skipped. Resolves when the command is done or runs on its own; the code is in `process.exitCode`. */
export async function execute(argv: readonly string[]): Promise<void> {
  try {
    await buildProgram().parseAsync(argv);
  } catch (cause) {
    process.exitCode = explainFailure(cause);
  }
}

function explainFailure(cause: unknown): number {
  if (cause instanceof CommanderError) return cause.exitCode === 0 ? EXIT.good : EXIT.usage;
  if (cause instanceof ReeveError) {
    process.stderr.write(`${String(cause).replaceAll(/^/gm, 'reeve: ')}\n`);
    return cause.code === 'unreachable' ? EXIT.unreachable : cause.code === 'usage' ? EXIT.usage : EXIT.findings;
  }
  process.stderr.write(`reeve: ${(cause as Error).stack ?? String(cause)}\n`);
  return EXIT.findings;
}
