/** What 10,000 sidecars cost a collector that only hold their stream, and when all of them tell at once. */
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Figures } from '../run.ts';
import { CollectorProcess } from './collector-process.ts';

const SAMPLE_MS = 50;

export async function measureStreams(dir: string, quick: boolean, progress: (text: string) => void): Promise<Figures> {
  const [streams, idleSec] = quick ? [500, 2] : [10_000, 10];
  progress(`${streams} streams`);
  const collector = await CollectorProcess.start(dir);
  const program = join(import.meta.dirname, 'streams-load.ts');
  const args = ['--max-old-space-size=8192', program, String(collector.ports.grpc), String(streams)];
  const load = spawn(process.execPath, args, { stdio: ['pipe', 'pipe', 'inherit'] });
  try {
    const lines = createInterface({ input: load.stdout })[Symbol.asyncIterator]();
    const said = async (word: string): Promise<void> => {
      if ((await lines.next()).value !== word) throw new Error(`void: the sidecars did not say ${word}`);
    };
    const empty = collector.residentMiB;
    await said('ready');
    const before = collector.cpuSec;
    await sleep(idleSec * 1000);
    const idle = { cores: (collector.cpuSec - before) / idleSec, mib: collector.residentMiB };
    let peak = idle.mib;
    const sampling = setInterval(() => (peak = Math.max(peak, collector.residentMiB)), SAMPLE_MS);
    const began = performance.now();
    load.stdin.write('tell\n');
    await said('told');
    clearInterval(sampling);
    return {
      streams,
      streams_idle_cores: idle.cores,
      streams_idle_kib_each: ((idle.mib - empty) * 1024) / streams,
      streams_peak_mib: peak,
      streams_all_told_ms: performance.now() - began,
    };
  } finally {
    load.kill();
    await collector.stop();
  }
}
