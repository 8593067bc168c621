/**
 * The log: one JSON object a line, OpenTelemetry names, secrets never. A line is a fact with fields; it is not a sentence
 * to be parsed. Writing never throws: what cannot be written as JSON is written as its type.
 */
import type { Clock } from '../core/index.ts';
import { cut, LogRecord } from './log-record.ts';

export type Level = 'debug' | 'info' | 'warn' | 'error';
export type Fields = Readonly<Record<string, unknown>>;

export interface Log {
  debug(event: string, fields?: Fields): void;
  info(event: string, fields?: Fields): void;
  warn(event: string, fields?: Fields): void;
  error(event: string, fields?: Fields): void;
  /** For lines of one kind, one with each request; undefined when lines of this level are not written. */
  record(severity: Level, event: string): LogRecord | undefined;
}

export interface LogOptions {
  readonly clock: Clock;
  readonly level: Level;
  /** Takes one line, newline included. */
  readonly write: (line: string) => void;
  /** Takes one line of a record, newline included; the bytes are good until it returns. Default: as text to `write`. */
  readonly writeRecord?: (bytes: Buffer, length: number) => void;
  /** Fields of every line. */
  readonly base?: Fields;
}

const ORDER: Readonly<Record<Level, number>> = { debug: 0, info: 1, warn: 2, error: 3 };
/** A field of one of these names is never written, whatever it holds. */
const SECRET = /authorization|cookie|token|secret|password|pepper|api-?key|credential|jwks/i;
const DEPTH_MAX = 4;
const ITEMS_MAX = 64;

export const silentLog: Log = { debug() {}, info() {}, warn() {}, error() {}, record: () => undefined };

export function createLog({
  clock,
  level,
  write,
  writeRecord = (bytes, length) => write(bytes.toString('utf8', 0, length)),
  base = {},
}: LogOptions): Log {
  const least = ORDER[level];
  const plainBase = plain(base, 0) as object;
  const line = (severity: Level, event: string, fields: Fields): void => {
    if (ORDER[severity] < least) return;
    const head = { timestamp: new Date(clock.wallMs()).toISOString(), severity, event };
    write(`${JSON.stringify({ ...head, ...plainBase, ...(plain(fields, 0) as object) })}\n`);
  };
  return {
    debug: (event, fields = {}) => line('debug', event, fields),
    info: (event, fields = {}) => line('info', event, fields),
    warn: (event, fields = {}) => line('warn', event, fields),
    error: (event, fields = {}) => line('error', event, fields),
    record(severity, event) {
      if (ORDER[severity] < least) return undefined;
      const head = `,${JSON.stringify({ severity, event, ...plainBase }).slice(1, -1)}`;
      return new LogRecord({ clock, head, write: writeRecord });
    },
  };
}

/** A copy that JSON can write: bounded in depth, items and text, without secrets. */
function plain(value: unknown, depth: number): unknown {
  if (typeof value === 'string') return cut(value);
  if (value === null || typeof value === 'boolean') return value;
  if (typeof value === 'number') return Number.isFinite(value) ? value : String(value);
  if (typeof value === 'bigint') return String(value);
  if (value instanceof Error) return plain(`${value.name}: ${value.message}`, depth);
  if (typeof value !== 'object') return typeof value === 'undefined' ? undefined : `[${typeof value}]`;
  if (depth >= DEPTH_MAX) return '[deep]';
  if (Array.isArray(value)) return value.slice(0, ITEMS_MAX).map((each) => plain(each, depth + 1));
  const entries = Object.entries(value).slice(0, ITEMS_MAX);
  return Object.fromEntries(
    entries.map(([key, each]) => [key, SECRET.test(key) ? '[redacted]' : plain(each, depth + 1)]),
  );
}
