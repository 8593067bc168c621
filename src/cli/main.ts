/** The command tree. Each command loads what it needs when it runs, so that `--help` and `version` answer at once. */
import { type Command, CommanderError } from 'commander';
import { ReeveError } from '../core/index.ts';
import { EXIT } from './exit.ts';
import { buildProgram } from './program.ts';

const program = buildProgram();
try {
  await exitOverridden(program).parseAsync(process.argv);
} catch (cause) {
  process.exitCode = explainFailure(cause);
}

/** Commander throws instead of exiting, so that the codes are ours. */
function exitOverridden(command: Command): Command {
  command.exitOverride();
  for (const each of command.commands) exitOverridden(each);
  return command;
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
