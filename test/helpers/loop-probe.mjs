/**
 * Preloaded into a sidecar by a test (--import): how long each turn of its loop holds it. The turns follow each other without
 * a pause, so what a request would have to wait for is seen whole. Written to LOOP_PROBE_FILE at exit.
 */
import { writeFileSync } from 'node:fs';

const turns = [];
let before = performance.now();

function turn() {
  const now = performance.now();
  // Most turns find nothing to do.
  if (now - before > 0.2) turns.push({ endedAt: performance.timeOrigin + now, tookMs: now - before });
  before = now;
  setImmediate(turn);
}

if (process.env.LOOP_PROBE_FILE !== undefined) {
  setImmediate(turn);
  process.on('exit', () => writeFileSync(process.env.LOOP_PROBE_FILE, JSON.stringify(turns)));
}
