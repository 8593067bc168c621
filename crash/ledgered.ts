/** What stands in a ledger, read from its files: how often each request was recorded. */
import { readEntry } from '../src/collector/entry.ts';
import { hasMeter, unpack } from '../src/collector/payload.ts';
import { readRuns, readWindows } from '../src/metering/index.ts';
import { SegmentLog, systemDisk } from '../src/wal/index.ts';

export interface Ledgered {
  readonly records: number;
  /** Of these in windows, which know no trace. */
  readonly folded: number;
  /** By trace id. */
  readonly times: ReadonlyMap<string, number>;
  /** Records that are said to be missing. */
  readonly gaps: number;
}

/** Of a collector that has stopped. */
export function readLedger(dir: string): Ledgered {
  const times = new Map<string, number>();
  let records = 0;
  let folded = 0;
  let gaps = 0;
  const log = SegmentLog.open(
    { dir, disk: systemDisk, kind: 'LEDG', head: () => Buffer.alloc(0) },
    ({ body }) => {
      const entry = readEntry(body);
      if (entry?.kind === 'gap') gaps += entry.seqTo - entry.seqFrom + 1;
      if (entry?.batch === undefined) return;
      const payload = unpack(entry.batch);
      if (typeof payload === 'string') throw new Error(payload);
      if (entry.batch.isFolded) {
        let requests = 0;
        readWindows(payload, (_windowMs, series, { count }) => {
          // What is counted of a meter belongs to a request that is counted already.
          if (!hasMeter(series)) requests += count;
          return true;
        });
        folded += requests;
        records += requests;
        return;
      }
      const count = readRuns(payload, ({ bytes, traceAt }) => {
        if (traceAt !== -1) {
          const id = bytes.toString('hex', traceAt, traceAt + 16);
          times.set(id, (times.get(id) ?? 0) + 1);
        }
        return true;
      });
      if (count !== entry.seqTo - entry.seqFrom + 1)
        throw new Error(`${count} records in a batch of ${entry.seqTo - entry.seqFrom + 1}`);
      records += count;
    },
    ({ path, what }) => {
      throw new Error(`${path} is ${what}`);
    },
  );
  log.close();
  return { records, folded, times, gaps };
}
