/** What a core of a collector takes: decoded, judged, in the ledger and synced, summed up, in the store. */
import { readWindows, Windows } from '../../src/metering/index.ts';
import { RECORD_BYTES_MAX, RecordReader, type UsageRecord, writeRecord } from '../../src/metering/usage-record.ts';
import type { CollectorProcess } from './collector-process.ts';
import { type Batch, pack, packRecords, Teller } from './teller.ts';

const TENANTS = 10_000;
const STREAMS = 4;
const RECORDS_A_BATCH = 6000;
/** Of a window of a second, one series. */
const REQUESTS_A_ROW = 100;
const ROWS_A_BATCH = 5000;

export interface Ingested {
  readonly perCoreSec: number;
  readonly wireBytesEach: number;
}

/** A record as traffic has it: tenants by a skewed chance, three routes, sizes and times that differ. */
export function recordOf(at: number, wallMs: number): UsageRecord {
  const chance = ((at * 2_654_435_761) % 4_294_967_296) / 4_294_967_296;
  return {
    wallMs,
    tenant: `tenant-${Math.floor(TENANTS * chance * chance)}`,
    route: ['orders', 'exports', 'search'][at % 3] as string,
    upstream: '',
    operation: '',
    hop: 0,
    isPart: false,
    outcome: at % 50 === 0 ? 'denied' : 'ok',
    methodClass: 'read',
    statusClass: at % 50 === 0 ? 4 : 2,
    bytesIn: 200 + (at % 700),
    bytesOut: 500 + ((at * 31) % 9000),
    durationUs: 2000 + ((at * 7) % 40_000),
    upstreamUs: 1500 + ((at * 5) % 30_000),
    units: [],
    traceId: '',
  };
}

export async function ingestRaw(collector: CollectorProcess, batches: number): Promise<Ingested> {
  const now = Date.now();
  const made = Array.from({ length: batches }, (_, b) =>
    packRecords(
      Array.from({ length: RECORDS_A_BATCH }, (_, i) => recordOf(b * RECORDS_A_BATCH + i, now + Math.floor(i / 6))),
    ),
  );
  return ingest(collector, made);
}

export async function ingestFolded(collector: CollectorProcess, batches: number): Promise<Ingested> {
  const now = Math.floor(Date.now() / 1000) * 1000;
  return ingest(
    collector,
    Array.from({ length: batches }, (_, b) => foldedBatch(now - (b % 4) * 1000, b)),
  );
}

function foldedBatch(wallMs: number, number: number): Batch {
  const windows = new Windows({ spanMs: 1000, seriesMax: 20_000, rowsMax: 20_000 });
  const bytes = Buffer.alloc(RECORD_BYTES_MAX);
  const reader = new RecordReader();
  for (let row = 0; row < ROWS_A_BATCH; row++) {
    const record = { ...recordOf(row, wallMs), tenant: `tenant-${(number * ROWS_A_BATCH + row) % TENANTS}` };
    for (let i = 0; i < REQUESTS_A_ROW; i++) {
      reader.begin(bytes, 0, writeRecord(bytes, 0, record, wallMs));
      reader.next();
      windows.addRecord(reader, wallMs);
    }
  }
  const payload = windows.encode();
  let count = 0;
  readWindows(payload, (_windowMs, _series, sums) => {
    count += sums.count;
    return true;
  });
  return pack(payload, count, true);
}

async function ingest(collector: CollectorProcess, batches: readonly Batch[]): Promise<Ingested> {
  const tellers = Array.from({ length: STREAMS }, (_, i) => new Teller(collector.ports.grpc, `service-${i}`));
  const tell = async (of: readonly Batch[]): Promise<void> => {
    await Promise.all(tellers.map((teller, i) => teller.tell(of.filter((_, at) => at % STREAMS === i))));
    // In the store when it is answered.
    await collector.ask('/v1/usage?from=1h');
  };
  // Compiled before it counts.
  await tell(batches.slice(0, Math.ceil(batches.length / 4)));
  const before = collector.cpuSec;
  await tell(batches);
  const cpuSec = collector.cpuSec - before;
  for (const teller of tellers) teller.close();
  const count = batches.reduce((sum, each) => sum + each.count, 0);
  return { perCoreSec: count / cpuSec, wireBytesEach: batches.reduce((sum, { zstd }) => sum + zstd.length, 0) / count };
}
