/** Programs of the system: whether they are there, and which version. */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';

export const INSTALL = 'bench/peers/install.sh';

/** Its path, also where only root's PATH would find it; undefined when it is not installed. */
export function findProgram(name: string): string | undefined {
  const folders = [...(process.env['PATH'] ?? '').split(':'), '/usr/sbin', '/usr/local/sbin'];
  return folders.map((folder) => join(folder, name)).find((path) => existsSync(path));
}

/** The first number with dots that `program ...args` prints. */
export function versionOf(program: string, ...args: readonly string[]): string {
  return /\d+\.\d+(\.\d+)?/.exec(printed(program, ...args))?.[0] ?? 'unknown';
}

/** To both outputs. */
export function printed(program: string, ...args: readonly string[]): string {
  const { stdout, stderr } = spawnSync(program, args, { encoding: 'utf8' });
  return `${stdout}${stderr}`;
}
