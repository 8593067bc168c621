/**
 * What a process loads first whose lines count (`NODE_OPTIONS`, set by file.ts): sources come from where strip.ts laid them without their types, and
 * which lines ran is written when it ends. Plain JavaScript, and only Node's own: each process pays for it.
 */
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { Session } from 'node:inspector';
import { registerHooks } from 'node:module';
import { join } from 'node:path';
import { threadId } from 'node:worker_threads';

const root = new URL('../../', import.meta.url);
const covered = new Set(process.env.COVERED_FILES.split('\n').map((file) => new URL(file, root).href));

/** The same text as Node makes of a file, place for place; a file that was changed since is left to Node. */
registerHooks({
  load(url, context, next) {
    if (!url.startsWith(root.href) || !url.endsWith('.ts')) return next(url, context);
    const path = url.slice(root.href.length);
    const stripped = new URL(`node_modules/.cache/stripped/${path}.js`, root);
    const isSame =
      statSync(stripped, { throwIfNoEntry: false })?.mtime.getTime() === statSync(new URL(url)).mtime.getTime();
    if (!isSame) return next(url, context);
    return { format: 'module', source: readFileSync(stripped, 'utf8'), shortCircuit: true };
  },
});

const session = new Session();
session.connect();
session.post('Profiler.enable');
session.post('Profiler.startPreciseCoverage', { callCount: true, detailed: true });
process.on('exit', () => {
  session.post('Profiler.takePreciseCoverage', (error, taken) => {
    if (error !== null) throw error;
    const result = taken.result.filter(({ url }) => covered.has(url));
    if (result.length === 0) return;
    writeFileSync(join(process.env.COVERAGE_DIR, `${process.pid}-${threadId}.json`), JSON.stringify({ result }));
  });
});
