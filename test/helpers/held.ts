/** What a sidecar of a test holds, objects and buffers alike, once all garbage is collected: unlike what is resident, it does not depend on when the collector comes. */
import type { ChildProcess } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { becomes } from './processes.ts';
import { type Ending, root } from './sidecar.ts';

export interface HeldProbe {
  /** For `childSidecar`. */
  readonly nodeArgs: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  /** Bytes held by the sidecar that was started with them. */
  of(child: ChildProcess): Promise<number>;
}

export function heldProbe(t: Ending): HeldProbe {
  const dir = mkdtempSync(join(tmpdir(), 'reeve-held-'));
  t.teardown(() => rmSync(dir, { recursive: true }));
  const file = join(dir, 'held');
  return {
    nodeArgs: ['--expose-gc', `--import=${join(root, 'test/helpers/held-probe.mjs')}`],
    env: { HELD_PROBE_FILE: file },
    async of(child) {
      child.kill('SIGUSR2');
      if (!(await becomes(() => existsSync(file)))) throw new Error('the sidecar did not say what it holds');
      const bytes = Number(readFileSync(file, 'utf8'));
      rmSync(file);
      return bytes;
    },
  };
}
