/**
 * Says when a directory may have changed. An event is only a hint: a Kubernetes swap makes watchers report a false removal 100 ms
 * later, some file systems report nothing at all. So every event means "look", and a poll is the net under the watcher.
 */
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { watch as watchFiles } from 'chokidar';
import type { Clock, Timers } from '../../core/index.ts';
import { dataLink } from './read-directory.ts';

/** Events of one change come within a few ms of each other. */
const DEBOUNCE_MS = 10;
/** But a directory that never rests is looked at all the same. */
const DEBOUNCE_MS_MAX = 50;
const POLL_MS = 1000;

export interface Watching {
  close(): Promise<void>;
}

export function watchDirectory(
  dir: string,
  { clock, timers }: { clock: Clock; timers: Timers },
  onHint: () => void,
): Watching {
  let debounce = timers.after(0, () => {});
  let pendingSince: number | undefined;
  const hint = (): void => {
    const now = clock.now();
    pendingSince ??= now;
    debounce.cancel();
    debounce = timers.after(Math.max(0, Math.min(DEBOUNCE_MS, pendingSince + DEBOUNCE_MS_MAX - now)), () => {
      pendingSince = undefined;
      onHint();
    });
  };
  const watcher = watchFiles(dir, { ignoreInitial: true, depth: 8 });
  watcher.on('all', hint).on('raw', hint).on('error', hint);

  let last: string | undefined;
  let isPolling = false;
  const poll = timers.every(POLL_MS, () => {
    if (isPolling) return;
    isPolling = true;
    void identity(dir).then((now) => {
      isPolling = false;
      if (last !== undefined && now !== last) hint();
      last = now;
    });
  });
  return {
    async close() {
      poll.cancel();
      debounce.cancel();
      await watcher.close();
    },
  };
}

/** A text that changes when the directory does: where `..data` points, else name, size, time and inode of every file. */
async function identity(dir: string): Promise<string> {
  const link = await dataLink(dir);
  if (link !== undefined) return link;
  const names = await readdir(dir, { recursive: true }).catch(() => []);
  const facts = await Promise.all(
    names
      .sort()
      .slice(0, 10_000)
      .map(async (name) => {
        const each = await stat(join(dir, name)).catch(() => undefined);
        return `${name} ${each?.size} ${each?.mtimeMs} ${each?.ino}`;
      }),
  );
  return facts.join('\n');
}
