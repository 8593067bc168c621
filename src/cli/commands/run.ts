import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { ReeveError, systemClock } from '../../core/index.ts';
import { createLog } from '../../telemetry/index.ts';
import { bootFrom } from '../boot.ts';
import { startSidecar } from '../sidecar.ts';

/** `reeve run -- CMD`: the application with a sidecar before it; ends with the application's exit code. */
export async function run(
  [program, ...args]: string[],
  options: { appPort: string; tenancy?: string; config?: string },
): Promise<void> {
  const upstream = `http://127.0.0.1:${options.appPort}`;
  const config = bootFrom(
    options.config,
    {
      ...(options.config === undefined ? { upstream } : {}),
      ...(options.tenancy === undefined ? {} : { tenancyDir: options.tenancy }),
    },
    process.env,
  );
  const log = createLog({
    clock: systemClock,
    level: config.log.level,
    write: (line) => void process.stdout.write(`reeve │ ${line}`),
  });
  const sidecar = await startSidecar(config, { log });
  const app = spawn(program as string, args, { stdio: ['inherit', 'pipe', 'pipe'] });
  prefix(app.stdout, process.stdout);
  prefix(app.stderr, process.stderr);
  const code = await ended(app, program as string).finally(() => sidecar.close());
  process.exitCode = code;
}

function prefix(from: NodeJS.ReadableStream | null, to: NodeJS.WritableStream): void {
  if (from !== null) createInterface({ input: from }).on('line', (line) => to.write(`app   │ ${line}\n`));
}

/** Signals go to the application; when it ends, we do. */
function ended(app: ChildProcess, program: string): Promise<number> {
  return new Promise((resolve, reject) => {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => app.kill(signal));
    app.once('error', (cause: NodeJS.ErrnoException) =>
      reject(
        new ReeveError('usage', `the application cannot be started: ${cause.code}`, {
          place: program,
          remedy: 'check the command behind --',
          cause,
        }),
      ),
    );
    app.once('close', (code, signal) => resolve(code ?? (signal === null ? 0 : 1)));
  });
}
