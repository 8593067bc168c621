/** `reeve run -- CMD`: the application with a sidecar before it; ends with the application's exit code. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { constants } from 'node:os';
import { basename, delimiter, join } from 'node:path';
import { createInterface } from 'node:readline';
import { ReeveError } from '../../core/index.ts';
import type { SidecarConfig } from '../../tenants/index.ts';
import { bootFrom } from '../boot.ts';
import { paint } from '../output.ts';
import { packageRoot } from '../root.ts';
import { type RunningSidecar, startSidecar } from '../sidecar.ts';
import { onSignals } from '../signals.ts';
import { requireDirectory } from './config.ts';

interface RunOptions {
  readonly appPort?: string;
  readonly tenancy?: string;
  readonly config?: string;
}

const APP_PORT = '8080';
/** What a terminal sends to the group before it would otherwise reach the application before the drain. On Windows a group is a window. */
const HAS_OWN_GROUP = process.platform !== 'win32';

export async function run([program, ...args]: string[], options: RunOptions): Promise<void> {
  const config = await bootFrom(options.config, settingsOf(options), process.env);
  // A sidecar waits for its mount; who types a command wants to know of the slip.
  requireDirectory(config.tenancy.dir);
  const sidecar = await startSidecar(config, { linePrefix: mark('reeve') });
  process.stdout.write(`${mark('reeve')}${welcome(sidecar, config)}\n`);
  const app = spawn(program as string, args, {
    stdio: ['inherit', 'pipe', 'pipe'],
    env: { ...process.env, PATH: pathOfApp() },
    detached: HAS_OWN_GROUP,
  });
  const printed = [copyLines(app.stdout, process.stdout), copyLines(app.stderr, process.stderr)];
  passSignalsOn(app, sidecar);
  try {
    const { code, signal } = await ended(app, program as string);
    process.exitCode = code ?? 128 + constants.signals[signal as NodeJS.Signals];
    await Promise.all(printed);
    const how = signal === null ? `ended with exit code ${code}` : `was ended by ${signal}`;
    process.stdout.write(`${mark('reeve')}the application ${how}; the sidecar stops\n`);
  } finally {
    await sidecar.close();
  }
}

function settingsOf({ appPort, tenancy, config }: RunOptions): Record<string, unknown> {
  const isUpstreamSaid = config !== undefined || process.env['REEVE_UPSTREAM'] !== undefined;
  const port = appPort ?? (isUpstreamSaid ? undefined : APP_PORT);
  if (port !== undefined && !(/^\d{1,5}$/.test(port) && Number(port) >= 1 && Number(port) <= 65_535))
    throw new ReeveError('usage', `expected a port, got ${JSON.stringify(port)}`, {
      place: '--app-port',
      remedy: 'such as 3000',
    });
  if (tenancy === undefined && config === undefined && process.env['REEVE_TENANCY_DIR'] === undefined)
    throw new ReeveError('usage', 'the tenancy is missing', { place: '--tenancy', remedy: 'such as config/tenancy' });
  return {
    ...(port === undefined ? {} : { upstream: `http://127.0.0.1:${port}` }),
    ...(tenancy === undefined ? {} : { tenancyDir: tenancy }),
  };
}

/** Without what npm puts before it for us: our own Node would otherwise be the application's. */
function pathOfApp(): string | undefined {
  const own = join(packageRoot(), 'node_modules/.bin');
  return process.env['PATH']
    ?.split(delimiter)
    .filter((dir) => dir !== own && basename(dir) !== 'node-gyp-bin')
    .join(delimiter);
}

function welcome({ ports, tenancy }: RunningSidecar, { upstream }: SidecarConfig): string {
  return `http://localhost:${ports.inbound} → ${upstream}, ${tenancy.snapshot.tenants.size} tenants; metrics on ${ports.status}, admin on ${ports.admin}`;
}

function mark(who: 'reeve' | 'app'): string {
  return `${paint(who === 'reeve' ? 'cyan' : 'green', who.padEnd(5))} │ `;
}

/** Line by line, no faster than the terminal takes them. */
async function copyLines(from: NodeJS.ReadableStream, to: NodeJS.WritableStream): Promise<void> {
  for await (const line of createInterface({ input: from }))
    if (!to.write(`${mark('app')}${line}\n`)) await once(to, 'drain').catch(() => {});
}

/**
 * The first signal drains the sidecar, which goes on forwarding to the application, and only then reaches the application, so that no
 * request in flight fails. A second one reaches it at once; one more kills it.
 */
function passSignalsOn(app: ChildProcess, sidecar: RunningSidecar): void {
  let isDraining = false;
  let isPassedOn = false;
  const passOn = (signal: NodeJS.Signals): void => {
    send(app, isPassedOn ? 'SIGKILL' : signal);
    isPassedOn = true;
  };
  const stop = (signal: NodeJS.Signals): void => {
    if (isDraining) {
      passOn(signal);
      void sidecar.close().catch(() => {});
      return;
    }
    isDraining = true;
    isPassedOn = !HAS_OWN_GROUP && signal === 'SIGINT' && process.stdin.isTTY === true;
    const after = (): void => void (isPassedOn || passOn(signal));
    void sidecar.drain().then(after, after);
  };
  onSignals(['SIGTERM', 'SIGINT', 'SIGHUP', 'SIGQUIT'], stop);
  // A terminal that is gone, or a reader that has had enough.
  process.stdout.removeAllListeners('error').on('error', () => isDraining || stop('SIGHUP'));
  // Nothing else would reach it then.
  process.once('exit', () => send(app, 'SIGTERM'));
}

/** What a terminal sends goes to all of the application's processes, as a terminal does it; SIGTERM to the one that was started. */
function send(app: ChildProcess, signal: NodeJS.Signals): void {
  const { pid, exitCode, signalCode } = app;
  if (pid === undefined || exitCode !== null || signalCode !== null) return;
  if (signal === 'SIGTERM' || !HAS_OWN_GROUP) app.kill(signal);
  else process.kill(-pid, signal);
}

interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** Resolves when the application has ended; then we do. */
function ended(app: ChildProcess, program: string): Promise<Ended> {
  return new Promise((resolve, reject) => {
    app.once('error', (cause: NodeJS.ErrnoException) =>
      reject(
        new ReeveError('usage', `the application cannot be started: ${cause.code}`, {
          place: program,
          remedy: 'check the command behind --',
          cause,
        }),
      ),
    );
    app.once('close', (code, signal) => resolve({ code, signal }));
  });
}
