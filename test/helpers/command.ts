/** The command as a person types it: a process with its own streams, no terminal unless asked for. */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { root } from './sidecar.ts';

export const REEVE: string = join(root, 'src/cli/reeve.mjs');

/** Without what the test runner says of colours. */
const { NO_COLOR: _no, FORCE_COLOR: _force, ...environment } = process.env;

export interface Ran {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export function reeve(args: readonly string[], env: Readonly<Record<string, string>> = {}): Ran {
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

/** The same on a terminal. Both streams come as one, with the terminal's line ends. */
export function reeveOnTerminal(args: readonly string[], env: Readonly<Record<string, string>> = {}): Ran {
  const line = [process.execPath, REEVE, ...args].map((word) => `'${word}'`).join(' ');
  const { status, stdout, stderr } = spawnSync('/usr/bin/script', ['-qec', line, '/dev/null'], {
    encoding: 'utf8',
    env: { ...environment, TERM: 'xterm-256color', ...env },
    timeout: 30_000,
    cwd: root,
  });
  return { status, stdout: stdout.replaceAll('\r\n', '\n'), stderr };
}
