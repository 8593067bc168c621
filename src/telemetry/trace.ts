/** W3C Trace Context, version 00: https://www.w3.org/TR/trace-context/ */
import type { Random } from '../core/index.ts';

export interface TraceContext {
  /** 32 lower-case hex digits, not all zero. */
  readonly traceId: string;
  /** 16 lower-case hex digits, not all zero. */
  readonly spanId: string;
  /** Two hex digits; the lowest bit says sampled. */
  readonly flags: string;
}

const IDS = '(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}';
/** All fields have a fixed width. A later version may have more of them, and is read by its first four; ff is none (§3.2). */
const SOUND = new RegExp(`^(?:00-${IDS}|(?!00|ff)[0-9a-f]{2}-${IDS}(?:-.*)?)$`);

/** undefined for what §3.2 calls invalid. */
export function parseTraceparent(value: string): TraceContext | undefined {
  if (!SOUND.test(value)) return undefined;
  return { traceId: value.slice(3, 35), spanId: value.slice(36, 52), flags: value.slice(53, 55) };
}

/** The trace id alone. */
export function traceIdOf(traceparent: string | undefined): string | undefined {
  return traceparent !== undefined && SOUND.test(traceparent) ? traceparent.slice(3, 35) : undefined;
}

/** A trace of our own, not sampled: the sampling decision is the application's. */
export function newTrace(random: Random): TraceContext {
  return { traceId: random.hex(16), spanId: random.hex(8), flags: '00' };
}

/** The next hop of the same trace. */
export function childOf(parent: TraceContext, random: Random): TraceContext {
  return { traceId: parent.traceId, spanId: random.hex(8), flags: parent.flags };
}

export function formatTraceparent(trace: TraceContext): string {
  return `00-${trace.traceId}-${trace.spanId}-${trace.flags}`;
}
