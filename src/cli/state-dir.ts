/** Loaded by who has a state directory. */
import { existsSync, mkdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { ReeveError } from '../core/index.ts';
import { systemDisk } from '../wal/index.ts';

/**
 * A state directory is one sidecar's alone: of two that keep their counts in one file, the second one's replaces the first one's. Throws a ReeveError,
 * `state-in-use`, when another process has it that can be seen; what is returned gives it back. Where nothing can be written, whoever writes there
 * says so: nobody is refused for a disk. But for one that knows no directories, such as /proc, `state-impossible`: Node's recursive mkdir would never end.
 */
export function lockStateDir(dir: string): () => void {
  let unlock: (() => void) | undefined;
  try {
    makeDir(dir);
    unlock = systemDisk.lock(join(dir, 'sidecar.lock'));
  } catch (cause) {
    if (cause instanceof ReeveError) throw cause;
    return () => {};
  }
  if (unlock !== undefined) return unlock;
  throw new ReeveError('state-in-use', 'is another sidecar’s', {
    place: dir,
    remedy: 'give each sidecar a stateDir of its own',
  });
}

/** With all above it. */
function makeDir(dir: string): void {
  try {
    mkdirSync(dir);
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    if (code === 'EEXIST') return;
    if (code !== 'ENOENT') throw cause;
    if (existsSync(dirname(dir)))
      throw new ReeveError('state-impossible', 'cannot be made there', {
        place: dir,
        remedy: 'name another stateDir',
        cause,
      });
    makeDir(dirname(dir));
    makeDir(dir);
  }
}
