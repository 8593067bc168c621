export { BoundedMap } from './bounded-map.ts';
export { Reader, VARINT_BYTES_MAX, Writer, writeVarint } from './bytes.ts';
export type { Clock, MonotonicMs } from './clock.ts';
export { holdClock, releaseClock, renewClock, systemClock } from './clock.ts';
export type { Closing } from './closer.ts';
export { Closer } from './closer.ts';
export { inlineMore } from './compiler.ts';
export { empty } from './empty.ts';
export type { Place } from './errors.ts';
export { ReeveError } from './errors.ts';
export type { Heap } from './heap.ts';
export { systemHeap } from './heap.ts';
export type { TenantId, TenantIndex } from './ids.ts';
export { LoopLag, quantileOf } from './loop-lag.ts';
export { nearest } from './nearest.ts';
export type { Random } from './random.ts';
export { systemRandom } from './random.ts';
export type { Timer, Timers } from './timers.ts';
export { systemTimers } from './timers.ts';
export {
  parseByteRatePerSec,
  parseDurationMs,
  parseNumber,
  parsePercent,
  parseRatePerSec,
  parseSizeBytes,
} from './units.ts';
