/** Runs a command and turns what went wrong into one line and an exit code. */
import { explainFailure } from './failure.ts';
import { buildProgram } from './program.ts';

/** `argv` as of a process: the first two words are skipped. Resolves when the command is done or runs on its own; the code is in `process.exitCode`. */
export async function execute(argv: readonly string[]): Promise<void> {
  try {
    await buildProgram().parseAsync(argv);
  } catch (cause) {
    process.exitCode = explainFailure(cause);
  }
}
