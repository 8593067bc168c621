/** The command as a person types it: in this process for what it says, as a process of its own for streams, signals and terminals. */
import { AsyncLocalStorage } from 'node:async_hooks';
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { execute } from '../../src/cli/execute.ts';
import { environmentOf, REEVE, root } from './sidecar.ts';

/** Variables by which the test runner or a machine that builds says what colours a terminal has: node:tty's getColorDepth reads them. */
const OF_THE_RUNNER =
  /^(NO_COLOR|FORCE_COLOR|NODE_DISABLE_COLORS|COLORTERM|TERM_PROGRAM|TMUX|CI|TF_BUILD|TEAMCITY_VERSION|TRAVIS|CIRCLECI|APPVEYOR|GITEA_ACTIONS|GITHUB_ACTIONS|GITLAB_CI|BUILDKITE|DRONE|CI_NAME|REEVE_.*)$/;

/** What a person's shell would give the command. */
export const environment: Readonly<Record<string, string>> = shell(false);
/** The same for a process whose lines count. */
export const countedEnvironment: Readonly<Record<string, string>> = shell(true);

function shell(isCounted: boolean): Record<string, string> {
  const variables = Object.entries(environmentOf(process.env, isCounted));
  return Object.fromEntries(variables.filter(([name]) => !OF_THE_RUNNER.test(name))) as Record<string, string>;
}

export interface Ran {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

interface Said {
  stdout: string;
  stderr: string;
}

// What is said here is said into a pipe, also where the tests are run at a terminal.
Object.assign(process.stdout, { isTTY: false });
const listening = new AsyncLocalStorage<Said>();
for (const name of ['stdout', 'stderr'] as const) {
  const write = process[name].write.bind(process[name]) as (...args: unknown[]) => boolean;
  process[name].write = (...args: unknown[]): boolean => {
    const said = listening.getStore();
    if (said === undefined) return write(...args);
    said[name] += String(args[0]);
    const done = args.at(-1);
    if (typeof done === 'function') queueMicrotask(() => done());
    return true;
  };
}

/** Those that a command listens to: it would end, the tests go on. */
const SIGNALS = ['SIGTERM', 'SIGINT', 'SIGHUP', 'SIGQUIT'] as const;

/** In this process, without the start of another: the same program with the same words. One at a time: they share the exit code. */
export async function reeve(args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<Ran> {
  const before = { env: process.env, exitCode: process.exitCode };
  const listeners = SIGNALS.map((signal) => process.listeners(signal));
  const said: Said = { stdout: '', stderr: '' };
  Object.assign(process, { env: { ...environment, ...env }, exitCode: undefined });
  try {
    await listening.run(said, () => execute([process.execPath, REEVE, ...args]));
    return { status: Number(process.exitCode ?? 0), ...said };
  } finally {
    Object.assign(process, before);
    for (const [i, signal] of SIGNALS.entries())
      for (const each of process.listeners(signal)) if (!listeners[i]?.includes(each)) process.off(signal, each);
  }
}

/** As a process of its own, no terminal. */
export function reeveProcess(args: readonly string[], env: Readonly<Record<string, string>> = {}): Ran {
  const { status, stdout, stderr } = spawnSync(process.execPath, [REEVE, ...args], {
    encoding: 'utf8',
    env: { ...environment, ...env },
    timeout: 30_000,
    cwd: root,
  });
  return { status, stdout, stderr };
}

/** util-linux's script(1) gives a terminal; false where it is missing. */
export const hasTerminal: boolean = existsSync('/usr/bin/script');

/** The words of script(1) for a command on a terminal; the shell it starts gives way to the command. */
export function onTerminal(words: readonly string[]): string[] {
  return ['-qec', `exec ${words.map((word) => `'${word}'`).join(' ')}`, '/dev/null'];
}

/** What a terminal brings; script(1) runs its line in SHELL. */
export const terminalEnvironment: Readonly<Record<string, string>> = {
  ...environment,
  TERM: 'xterm-256color',
  SHELL: '/bin/sh',
};

/** The same on a terminal. Both streams come as one, with the terminal's line ends. */
export function reeveOnTerminal(args: readonly string[], env: Readonly<Record<string, string>> = {}): Ran {
  const { status, stdout, stderr } = spawnSync('/usr/bin/script', onTerminal([process.execPath, REEVE, ...args]), {
    encoding: 'utf8',
    env: { ...terminalEnvironment, ...env },
    timeout: 30_000,
    cwd: root,
  });
  return { status, stdout: stdout.replaceAll('\r\n', '\n'), stderr };
}
