/** The command line of this process. */

import { execute } from './execute.ts';
import { EXIT } from './exit.ts';

// Who reads a pipe may have had enough (`| head -1`); that is no failure.
process.stdout.on('error', (cause: NodeJS.ErrnoException) =>
  process.exit(cause.code === 'EPIPE' ? EXIT.good : EXIT.findings),
);
await execute(process.argv);
