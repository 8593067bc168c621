export { chainStart } from './block.ts';
export { connectKeeper } from './connect-keeper.ts';
export { describeSpoolFrame } from './describe.ts';
export type {
  Batch,
  Bye,
  FromCollector,
  FromSidecar,
  Gap,
  Hello,
} from './generated/metering_pb.js';
export type { KeptRow } from './keeping.ts';
export { KEEP, KEEPER_VERSION, ofWire, RESTORE, toWire } from './keeping.ts';
export type { Connect, Metering, MeteringOptions } from './metering.ts';
export { openMetering } from './metering.ts';
export type { CollectorSays, SidecarSays } from './protocol.ts';
export { fromCollector, fromSidecar, PROTOCOL_VERSION, REPORT } from './protocol.ts';
export { readRuns } from './runs.ts';
export { SPOOL_KIND } from './spool.ts';
export { fencedBeside, spoolIdOf } from './spool-state.ts';
export type { MeteringStatus } from './status.ts';
export type { MethodClass, Units, UsageKey, UsageOutcome, UsageRecord } from './usage-record.ts';
export { keyEnd, RecordReader } from './usage-record.ts';
export type { Series, Sums, WindowsOptions } from './windows.ts';
export { readSeries, readWindows, Windows } from './windows.ts';
