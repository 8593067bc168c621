/**
 * The lines in which counts stand on disk. Each is for itself, so that what is damaged costs what stands in it and no more:
 *
 *   3d2c0f9a ["c","acme","api_calls",20783,"9f…",812,0]      count: tenant, meter, day, actor, count, credit
 *   81a70b21 ["t","acme","api_calls",20780,40011]            total of a closed day: counts before it are in it, those behind it come on top
 *   c41d00e7 ["g","acme","storage_bytes",1024,1764…,"9f…"]   gauge: value, wall ms, actor
 *   5f10c2d9 ["k","grant","acme","api_calls",20783,"9f…","1c…",50,0]   what the fleet knows of rights; see fleet-quotas/row.ts
 *   0b44de12 ["l","9f…",1]                                   whose file this is, the last of them: lives of this process, and how many before it
 *                                                            crashed, one after the other
 *   e0b7714d ["a","acme","api_calls",20783,416,380]          ahead: so much of a hard quota's window may the last life have spent, and did
 *   77a90c3e ["e","9f…"]                                     it left, and nobody else has its rights
 *   └ CRC-32 of what follows the space, 8 hex digits
 *
 * The first line of a file names its form: `… ["reeve-quotas",4]`.
 */
import { crc32 } from 'node:zlib';
import type { ClosedTotal, CounterRow } from './counter-store.ts';
import type { GaugeRow } from './gauge-store.ts';

/** A row of rights. */
export interface ClaimRow {
  readonly kind: string;
  readonly tenant: string;
  readonly meter: string;
  readonly day: number;
  readonly from: string;
  readonly to: string;
  readonly x: number;
  readonly y: number;
}

/** Units of a window of a hard quota that a life may have spent at most, but for what needs no word. */
export interface AheadRow {
  readonly tenant: string;
  readonly meter: string;
  readonly day: number;
  readonly units: number;
  /** What of that it had spent then. */
  readonly spent: number;
}

/** Whoever takes what a file says. */
export interface LogReader {
  count(row: CounterRow): void;
  total(total: ClosedTotal): void;
  gauge(row: GaugeRow): void;
  claim(row: ClaimRow): void;
  ahead(row: AheadRow): void;
  /** `crashes`: of lives before it, one after the other. */
  life(actor: string, crashes: number): void;
  end(actor: string): void;
}

/** What was wrong in a file. */
export interface Damage {
  /** Line of the first damaged record, from 1. */
  readonly line: number;
  readonly records: number;
  /** `torn tail`: the last line only, cut short by a crash. */
  readonly what: 'torn tail' | 'corrupt records' | 'unknown form';
}

export const HEAD: string = sealed('["reeve-quotas",4]');
/** The longest record: two names of 63 letters, each of which JSON could write as six, and numbers. */
const LINE_MAX = 1024;

export function countLine({ tenant, meter, day, actor, count, credit }: CounterRow): string {
  return sealed(JSON.stringify(['c', tenant, meter, day, actor, count, credit]));
}

export function totalLine({ tenant, meter, day, total }: ClosedTotal): string {
  return sealed(JSON.stringify(['t', tenant, meter, day, total]));
}

export function gaugeLine({ tenant, meter, value, at, actor }: GaugeRow): string {
  return sealed(JSON.stringify(['g', tenant, meter, value, at, actor]));
}

export function claimLine({ kind, tenant, meter, day, from, to, x, y }: ClaimRow): string {
  return sealed(JSON.stringify(['k', kind, tenant, meter, day, from, to, x, y]));
}

export function aheadLine({ tenant, meter, day, units, spent }: AheadRow): string {
  return sealed(JSON.stringify(['a', tenant, meter, day, units, spent]));
}

export function lifeLine(actor: string, crashes = 0): string {
  return sealed(JSON.stringify(crashes === 0 ? ['l', actor] : ['l', actor, crashes]));
}

export function endLine(actor: string): string {
  return sealed(JSON.stringify(['e', actor]));
}

function sealed(json: string): string {
  return `${crc32(json).toString(16).padStart(8, '0')} ${json}\n`;
}

/** Reads what is sound, in order; says what was not. Of an unknown form nothing is read. */
export function readLines(bytes: Buffer, reader: LogReader): Damage | undefined {
  let line = 0;
  let first = 0;
  let records = 0;
  let isTail = false;
  let isBegun = false;
  for (let from = 0; from < bytes.length; ) {
    line++;
    const end = bytes.indexOf(10, from);
    const text = end === -1 ? undefined : opened(bytes, from, end);
    if (line === 1 && text !== '["reeve-quotas",4]') return { line, records: 1, what: 'unknown form' };
    const fields: Fields | undefined = text === undefined ? undefined : JSON.parse(text);
    // Lives stand before all else: a tail that the disk made of an older file must not say whose this one is.
    const isLate = isBegun && fields?.[0] === 'l';
    isBegun ||= line > 1 && fields?.[0] !== 'l';
    if (line > 1 && (fields === undefined || isLate || !isRecord(fields, reader))) {
      if (records === 0) first = line;
      records++;
      isTail = end === -1 || end === bytes.length - 1;
    }
    from = end === -1 ? bytes.length : end + 1;
  }
  if (records === 0) return undefined;
  return { line: first, records, what: records === 1 && isTail ? 'torn tail' : 'corrupt records' };
}

/** What stands in a line whose sum is right. */
function opened(bytes: Buffer, from: number, end: number): string | undefined {
  if (end - from > LINE_MAX || end - from < 10) return undefined;
  const body = bytes.subarray(from + 9, end);
  const sum = bytes.toString('latin1', from, from + 9);
  return sum === `${crc32(body).toString(16).padStart(8, '0')} ` ? body.toString() : undefined;
}

type Fields = readonly unknown[];

function isRecord(fields: Fields, reader: LogReader): boolean {
  const [kind, tenant, meter, a, b, c, d] = fields as [string, string, string, never, never, never, never];
  if (kind === 'c') reader.count({ tenant, meter, day: a, actor: b, count: c, credit: d });
  else if (kind === 't') reader.total({ tenant, meter, day: a, total: b });
  else if (kind === 'g') reader.gauge({ tenant, meter, value: a, at: b, actor: c });
  else if (kind === 'a') reader.ahead({ tenant, meter, day: a, units: b, spent: c });
  else if (kind === 'k') reader.claim(claimOf(fields));
  else if (kind === 'l') reader.life(tenant, Number(meter ?? 0));
  else if (kind === 'e') reader.end(tenant);
  else return false;
  return true;
}

function claimOf(fields: Fields): ClaimRow {
  const [, kind, tenant, meter, day, from, to, x, y] = fields as [
    string,
    string,
    string,
    string,
    number,
    string,
    string,
    number,
    number,
  ];
  return { kind, tenant, meter, day, from, to, x, y };
}
