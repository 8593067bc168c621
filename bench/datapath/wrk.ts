/** Closed-loop load by wrk, for a number of whole seconds. */
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import type { Traffic } from './traffic.ts';

export interface Load {
  readonly requests: number;
  readonly tookUs: number;
}

export const CONNECTIONS = 64;

/** wrk looks at its clock ten times a second: when it ran for longer than this share of what was said, the machine stood still. */
const OVERRUN_MAX = 1.5;

/** A virtual machine may be paused; that is no fault of a system, and no measurement of it either. */
export class StoodStill extends Error {}

/** Rejects when any answer was not 2xx or 3xx, or a connection failed: such a window proves nothing. */
export async function wrk(port: number, core: number, traffic: Traffic, seconds: number, name: string): Promise<Load> {
  const args = ['-t1', `-c${CONNECTIONS}`, `-d${seconds}s`, '-s', join(import.meta.dirname, 'wrk.lua')];
  const url = `http://127.0.0.1:${port}/`;
  const { credentialsFile, orderFile, header, prefix } = traffic;
  const child = spawn(
    'taskset',
    ['-c', String(core), 'wrk', ...args, url, '--', credentialsFile, orderFile, header, prefix],
    {
      stdio: ['ignore', 'pipe', 'pipe'],
    },
  );
  let text = '';
  child.stdout.on('data', (chunk: Buffer) => (text += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (text += chunk.toString()));
  await new Promise((resolve) => child.once('close', resolve));
  const result = /^RESULT (.+)$/m.exec(text)?.[1];
  if (result === undefined) throw new Error(`wrk against ${name} failed: ${text}`);
  const { refused, failed, ...load } = JSON.parse(result) as Load & { refused: number; failed: number };
  if (load.tookUs > seconds * 1e6 * OVERRUN_MAX)
    throw new StoodStill(`the machine stood still: a window of ${seconds} s took ${load.tookUs / 1e6} s`);
  if (refused + failed > 0)
    throw new Error(
      `${name} is void: ${refused} wrong statuses and ${failed} failures in ${load.requests} requests: ${text}`,
    );
  return load;
}
