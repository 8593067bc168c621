/** What the kernel says of a process, and waiting for what no event tells. Linux only, as the sidecar's own home. */
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

/** Resident memory in bytes, now and at its highest so far. */
export function rssOf(pid: number | undefined): { readonly now: number; readonly peak: number } {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  const bytes = (name: string): number => Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, 'm').exec(status)?.[1]) * 1024;
  return { now: bytes('VmRSS'), peak: bytes('VmHWM') };
}

/** Resolves when `read` says the same number for `quietMs`; rejects when it never does. */
export async function settled(read: () => number, quietMs = 400): Promise<number> {
  for (let tries = 0, last = read(); tries < 200; tries++) {
    await sleep(quietMs);
    const now = read();
    if (now === last) return now;
    last = now;
  }
  throw new Error('it never settled');
}

/** Resolves when it is so; says false when that took longer than `withinMs`. */
export async function becomes(isSo: () => boolean | Promise<boolean>, withinMs = 5000): Promise<boolean> {
  for (const until = performance.now() + withinMs; performance.now() < until; await sleep(10))
    if (await isSo()) return true;
  return false;
}

/** The value below which a share of them lies. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] as number;
}

/** Node's young generation at its smallest: what the kernel then counts is what is kept, not what waits for the collector. */
export const SMALL_YOUNG_GENERATION: readonly string[] = ['--max-semi-space-size=1'];

export const mib = (bytes: number): string => (bytes / 2 ** 20).toFixed(1);
