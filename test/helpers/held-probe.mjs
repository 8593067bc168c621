/**
 * Preloaded into a sidecar by a test (node --expose-gc --import): at SIGUSR2 it collects all garbage and writes the bytes that are still held,
 * objects and buffers alike, to HELD_PROBE_FILE.
 */
import { renameSync, writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

process.on('SIGUSR2', async () => {
  // A buffer is given back a turn after its object; what only finalizers let go needs a second collection.
  for (let i = 0; i < 3; i++) {
    globalThis.gc();
    await sleep(20);
  }
  const { heapUsed, external } = process.memoryUsage();
  const { HELD_PROBE_FILE: file } = process.env;
  writeFileSync(`${file}.new`, String(heapUsed + external));
  renameSync(`${file}.new`, file);
});
