/** What metering costs: a sidecar for each request, a collector for each record; how long questions over 90 days take, and what an outage may last. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Suite } from '../run.ts';
import { CollectorProcess } from './collector-process.ts';
import { ingestFolded, ingestRaw } from './ingest.ts';
import { measureOutage } from './outage.ts';
import { measureQuestions } from './questions.ts';
import { measureSidecar } from './sidecar.ts';
import { measureStreams } from './streams.ts';

export const suite: Suite = {
  describe:
    'Metering: a sidecar with it beside one without; a collector fed over gRPC by another process, 10,000 tenants, CPU time of all its threads; a start and questions by HTTP with the sums and the ledger of 90 days',
  targets: {
    cpu_us_per_request: { must: 5, goal: 1.5 },
    added_p99_ms: { must: 0.2, goal: 0.05 },
    bytes_per_event_raw: { must: 24, goal: 14 },
    bytes_per_event_folded: { must: 1, goal: 0.1 },
    outage_hours_1gib: { must: 72, goal: 400, isLargerBetter: true },
    ingest_raw_per_core_s: { must: 150_000, goal: 500_000, isLargerBetter: true },
    ingest_folded_per_core_s: { must: 5e6, goal: 20e6, isLargerBetter: true },
    freshness_p99_ms: { must: 2000, goal: 500 },
    query_tenant_90d_ms: { must: 50, goal: 10 },
    query_top100_90d_ms: { must: 300, goal: 60 },
    restart_90d_ms: { must: 5000, goal: 1000 },
  },
  async run(o) {
    const { quick, progress } = o;
    const dir = mkdtempSync(join(tmpdir(), 'reeve-bench-metering-'));
    try {
      const ofCollector = {
        ...(await measureIngest(dir, quick, progress)),
        ...(await measureQuestions(dir, quick, progress)),
        ...(await measureStreams(join(dir, 'streams'), quick, progress)),
      };
      const outage = await measureOutage(o);
      // Last: it keeps this process to one core.
      return { ...(await measureSidecar(o)), ...ofCollector, ...outage };
    } finally {
      rmSync(dir, { recursive: true, force: true });
    }
  },
};

async function measureIngest(
  dir: string,
  quick: boolean,
  progress: (text: string) => void,
): Promise<Record<string, number>> {
  const collector = await CollectorProcess.start(join(dir, 'ingest'));
  try {
    progress('records');
    const raw = await ingestRaw(collector, quick ? 100 : 600);
    progress('windows');
    const folded = await ingestFolded(collector, quick ? 20 : 80);
    return {
      ingest_raw_per_core_s: raw.perCoreSec,
      ingest_folded_per_core_s: folded.perCoreSec,
      wire_raw_bytes: raw.wireBytesEach,
      wire_folded_bytes: folded.wireBytesEach,
      collector_resident_mib: collector.residentMiB,
    };
  } finally {
    await collector.stop();
  }
}
