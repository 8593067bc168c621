export type { Run, SpoolHead } from './block.ts';
export { chainStart, readFrame, readSpoolHead } from './block.ts';
export type {
  Batch,
  Bye,
  FromCollector,
  FromSidecar,
  Gap,
  Hello,
} from './generated/metering_pb.js';
export type { Connect, Metering, MeteringOptions } from './metering.ts';
export { openMetering } from './metering.ts';
export type { CollectorSays, SidecarSays } from './protocol.ts';
export { fromCollector, fromSidecar, PROTOCOL_VERSION, REPORT } from './protocol.ts';
export { readRecords, readRuns } from './runs.ts';
export { SPOOL_KIND } from './spool.ts';
export type { SpoolState } from './spool-state.ts';
export { inspectSpool } from './spool-state.ts';
export type { MethodClass, Units, UsageKey, UsageOutcome, UsageRecord } from './usage-record.ts';
export { METHOD_CLASSES, OUTCOMES, RecordReader, readKey } from './usage-record.ts';
export type { Series, Sums, WindowsOptions } from './windows.ts';
export { isSeries, readSeries, readWindows, SERIES_BYTES_MAX, Windows } from './windows.ts';
