/** What the collector says of itself. Tenants have a family of their own (tenant-totals). */
import type { Metrics } from '../telemetry/index.ts';
import type { Collector } from './collector.ts';
import type { Keeper } from './kept/keeper.ts';
import type { StoreFigures } from './rollups.ts';
import type { RefusalKind } from './session.ts';

const REFUSALS: readonly RefusalKind[] = ['malformed', 'elsewhere', 'credit', 'busy', 'ledger', 'fenced', 'replaced'];

export interface CollectorMetricsOptions {
  readonly metrics: Metrics;
  readonly collector: Collector;
  readonly keeper: Keeper;
  /** Streams now. */
  readonly streams: () => number;
  /** As they were last read. */
  readonly figures: () => StoreFigures;
  readonly nowMs: () => number;
}

export function registerCollectorMetrics({
  metrics,
  collector,
  keeper,
  streams,
  figures,
  nowMs,
}: CollectorMetricsOptions): void {
  const { intake, sums, spools, pool } = collector;
  const gauge = (name: string, help: string, read: () => number): void =>
    metrics.gauge({ name: `reeve_collector_${name}`, help, read });
  const counter = (name: string, help: string, read: () => number): void =>
    metrics.collected({
      name: `reeve_collector_${name}_total`,
      help,
      type: 'counter',
      labels: [],
      collect: (emit) => emit([], read()),
    });
  gauge('streams', 'Streams of sidecars.', streams);
  gauge('spools', 'Spools that are known.', () => spools.size);
  gauge('ledger_ok', '1: the ledger takes what sidecars tell; 0: it refuses, and they keep it.', () =>
    collector.trouble === undefined ? 1 : 0,
  );
  gauge('ledger_bytes', 'Bytes of the ledger.', () => collector.ledger.bytes);
  gauge('credit_free_bytes', 'Bytes of payload that no sidecar has been promised.', () => pool.free);
  gauge('watermark_lag_seconds', 'How far the slowest live spool is behind; what is older is complete.', () => {
    const now = nowMs();
    return (now - collector.completeness(now).untilMs) / 1000;
  });
  gauge('doubtful_records', 'Records that the ledger may have lost, until their sidecars have told them again.', () => {
    let doubtful = 0;
    for (const { doubt } of spools) doubtful += doubt?.count ?? 0;
    return doubtful;
  });
  gauge('hot_rows', 'Rows of sums that are in memory.', () => figures().hotRows);
  gauge('files', 'Files of sums.', () => figures().files);
  gauge('file_bytes', 'Bytes of the files of sums.', () => figures().fileBytes);
  gauge('kept_rows', 'Rows that are kept for fleets of sidecars.', () => keeper.rows.size);
  gauge('kept_bytes', 'Bytes of the log in which they stand.', () => keeper.bytes);
  counter('kept_rows_taken', 'Rows that sidecars handed over and that were news.', () => keeper.counts.taken);
  counter('kept_rows_refused', 'Rows for which there was no room.', () => keeper.counts.refused);
  counter('records', 'Records that were summed up since the start.', () => sums.records);
  counter('entries', 'Batches, gaps and the like that were taken into the ledger.', () => intake.counts.entries);
  counter('commits', 'Times that the ledger was synced.', () => intake.counts.commits);
  counter('commit_failures', 'Times that it could not be.', () => intake.counts.commitFailures);
  counter(
    'out_of_time',
    'Records of times that cannot be; they count in the nearest window that can.',
    () => sums.outOfTime,
  );
  counter(
    'lost_records',
    'Records that sidecars made and that are lost, by their own word or by damage in the ledger, of all spools that are known.',
    () => {
      let lost = 0;
      for (const spool of spools) lost += spool.lost;
      return lost;
    },
  );
  metrics.collected({
    name: 'reeve_collector_refusals_total',
    help: 'Streams that were ended by the collector.',
    type: 'counter',
    labels: ['kind'],
    rowsMax: REFUSALS.length,
    collect: (emit) => {
      for (const kind of REFUSALS) emit([kind], collector.refusals.get(kind) ?? 0);
    },
  });
}
