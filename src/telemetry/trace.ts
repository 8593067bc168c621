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

const FORM = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/;

/** undefined for what §3.2 calls invalid; a later version is read by its first four fields. */
export function parseTraceparent(value: string): TraceContext | undefined {
  const match = FORM.exec(value);
  if (match === null) return undefined;
  const [, version, traceId, spanId, flags, rest] = match as unknown as [
    string,
    string,
    string,
    string,
    string,
    string | undefined,
  ];
  if (version === 'ff' || (version === '00' && rest !== undefined)) return undefined;
  if (/^0+$/.test(traceId) || /^0+$/.test(spanId)) return undefined;
  return { traceId, spanId, flags };
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
