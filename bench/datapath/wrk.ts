/** Closed-loop load by wrk. It knows whole seconds only, so it is told a long time and interrupted, upon which it says what it did. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Traffic } from './traffic.ts';

export interface Load {
  readonly requests: number;
  readonly tookUs: number;
}

export interface WrkOptions {
  readonly port: number;
  readonly core: number;
  readonly traffic: Traffic;
  readonly seconds: number;
  /** Of what is loaded, for what is said of it. */
  readonly name: string;
  /** Ends the load before its time. */
  readonly until?: Promise<void>;
}

export const CONNECTIONS = 64;
/** An answer that takes longer is a failure, seconds. Traced, on a busy machine, two are not enough. */
const TIMEOUT_SEC = 10;

/** wrk looks ten times a second whether it is to stop: when it ran on for longer than this, the machine stood still. */
const OVERRUN_SEC = 1;
/** For wrk to read its requests, ms: a tenth of a second on a quiet machine. */
const START_MS_MAX = 20_000;

/** A virtual machine may be paused; that is no fault of a system, and no measurement of it either. */
export class StoodStill extends Error {}

/** Rejects when any answer was not 2xx or 3xx, or a connection failed: such a window proves nothing. */
export async function wrk({ port, core, traffic, seconds, name, until }: WrkOptions): Promise<Load> {
  const args = [
    '-t1',
    `-c${CONNECTIONS}`,
    '--timeout',
    `${TIMEOUT_SEC}s`,
    `-d${Math.ceil(seconds) + 60}s`,
    '-s',
    join(import.meta.dirname, 'wrk.lua'),
  ];
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
  const closed = once(child, 'close');
  // The script says on this output when it has read its requests; from then on the clock of the window runs.
  await Promise.race([once(child.stderr, 'data'), closed, sleep(START_MS_MAX, undefined, { ref: false })]);
  await Promise.race([sleep(seconds * 1000), closed, ...(until === undefined ? [] : [until])]);
  child.kill('SIGINT');
  await closed;
  const result = /^RESULT (.+)$/m.exec(text)?.[1];
  if (result === undefined) throw new Error(`wrk against ${name} failed: ${text}`);
  const { refused, failed, ...load } = JSON.parse(result) as Load & { refused: number; failed: number };
  if (load.tookUs > (seconds + OVERRUN_SEC) * 1e6 || (load.requests === 0 && failed === 0))
    throw new StoodStill(
      `the machine stood still: ${load.requests} requests to ${name} in ${load.tookUs / 1e6} s, meant were ${seconds} s`,
    );
  if (refused + failed > 0)
    throw new Error(
      `${name} is void: ${refused} wrong statuses and ${failed} failures in ${load.requests} requests: ${text}`,
    );
  return load;
}
