// hot path
/**
 * What one finished request used, in bytes. A record begins with its key, which names what is summed up: whoever counts needs to look at
 * no more than those bytes to know where a record belongs.
 *
 *   [flags u8][hop u8][ outcome u8 · class u8 · tenant · route · upstream · operation ][time][bytes in][bytes out][duration][upstream time][units…][trace id]
 *                     └────────────────────────── key ───────────────────────────────┘  └──────────────── varints ────────────────┘
 *
 * Texts are a byte of length and Latin-1; names have at most 63 letters. Hop and operation are there where the request did not begin here: a
 * flag says so, and a bit of the class, so that a key can be read alone. Who knows neither reads none of such records.
 */
import { VARINT_BYTES_MAX, writeVarint } from '../core/index.ts';
import { OPERATION_MAX } from '../telemetry/index.ts';

/**
 * - `ok`: served. - `shaped`: after a delay. - `degraded`: cheaper than asked for. - `denied`: refused by limits, or for its form.
 * - `failed`: nobody could serve it. - `aborted`: a side broke off. - `reported`: no request: the application said what was used.
 */
export type UsageOutcome = 'ok' | 'shaped' | 'degraded' | 'denied' | 'failed' | 'aborted' | 'reported';

export const OUTCOMES: readonly UsageOutcome[] = [
  'ok',
  'shaped',
  'degraded',
  'denied',
  'failed',
  'aborted',
  'reported',
];

/** `read`: GET, HEAD, OPTIONS. `write`: POST, PUT, PATCH, DELETE. `other`: all else, and what was no request. */
export type MethodClass = 'read' | 'write' | 'other';

export const METHOD_CLASSES: readonly MethodClass[] = ['read', 'write', 'other'];

/** One use of one meter, in the meter's units. Below zero: given back. */
export interface Units {
  readonly meter: string;
  readonly units: number;
}

/** Times in µs, but `wallMs`. One object serves for all records: it is filled and written. */
export interface UsageRecord {
  /** When it ended. */
  wallMs: number;
  tenant: string;
  /** Empty: none matched. */
  route: string;
  /** Empty: the application beside the sidecar. */
  upstream: string;
  /** SERVICE/ROUTE at the edge of the mesh where this began; empty: here. */
  operation: string;
  /** How many sidecars that record it passed before; 0: it began here. At most 255. */
  hop: number;
  /** No request of its own: what one that is not over used since its last record. */
  isPart: boolean;
  outcome: UsageOutcome;
  methodClass: MethodClass;
  /** 1 to 5; 0: there was no answer. */
  statusClass: number;
  bytesIn: number;
  bytesOut: number;
  durationUs: number;
  /** From the last byte of the request to the head of the answer. */
  upstreamUs: number;
  /** At most UNITS_MAX. */
  units: readonly Units[];
  /** 32 hex digits, or empty. */
  traceId: string;
}

/** Of one record: as many as one report has. */
export const UNITS_MAX = 16;
/** Letters of a name. */
export const NAME_MAX = 63;
/** The latest wall clock that a record may have; later is nobody's: the year 10,889. */
export const WALL_MS_MAX: number = 2 ** 48 - 1;
/** Units of one use: as much as a quota can have. More, such as the change of a gauge from one end to the other, is written as that. */
export const UNITS_EACH_MAX = 1e15;
/** What the largest record takes. */
export const RECORD_BYTES_MAX: number =
  2 + (2 + 3 * (1 + NAME_MAX) + 1 + OPERATION_MAX) + 5 * VARINT_BYTES_MAX + 1 + UNITS_MAX * (1 + NAME_MAX + 8) + 16;

const HAS_UNITS = 1;
const HAS_TRACE = 2;
const HAS_HOP = 4;
const IS_PART = 8;
/** Of the class: an operation is the last of the key's texts. */
const HAS_OPERATION = 0x20;
const NO_UNITS: readonly Units[] = [];

/** Writes the record and returns where it ended; `bytes` has room for RECORD_BYTES_MAX. `baseMs` is no later than it. */
export function writeRecord(bytes: Buffer, offset: number, record: UsageRecord, baseMs: number): number {
  const { units, traceId, hop } = record;
  let at = offset;
  bytes[at++] =
    (units.length > 0 ? HAS_UNITS : 0) |
    (traceId === '' ? 0 : HAS_TRACE) |
    (hop === 0 ? 0 : HAS_HOP) |
    (record.isPart ? IS_PART : 0);
  if (hop > 0) bytes[at++] = hop;
  at = writeKey(bytes, at, record);
  at = writeVarint(bytes, at, Math.max(0, record.wallMs - baseMs));
  at = writeVarint(bytes, at, record.bytesIn);
  at = writeVarint(bytes, at, record.bytesOut);
  at = writeVarint(bytes, at, record.durationUs);
  at = writeVarint(bytes, at, record.upstreamUs);
  if (units.length > 0) at = writeUnits(bytes, at, units);
  return traceId === '' ? at : at + bytes.write(traceId, at, 16, 'hex');
}

function writeKey(bytes: Buffer, offset: number, record: UsageRecord): number {
  let at = offset;
  bytes[at++] = OUTCOMES.indexOf(record.outcome);
  bytes[at++] =
    METHOD_CLASSES.indexOf(record.methodClass) * 8 + record.statusClass + (record.hop === 0 ? 0 : HAS_OPERATION);
  at = writeText(bytes, at, record.tenant);
  at = writeText(bytes, at, record.route);
  at = writeText(bytes, at, record.upstream);
  return record.hop === 0 ? at : writeText(bytes, at, record.operation, OPERATION_MAX);
}

function writeUnits(bytes: Buffer, offset: number, units: readonly Units[]): number {
  let at = offset;
  const count = Math.min(units.length, UNITS_MAX);
  bytes[at++] = count;
  for (let i = 0; i < count; i++) {
    const { meter, units: amount } = units[i] as Units;
    at = writeText(bytes, at, meter);
    at = bytes.writeDoubleBE(Math.min(UNITS_EACH_MAX, Math.max(-UNITS_EACH_MAX, amount)), at);
  }
  return at;
}

function writeText(bytes: Buffer, offset: number, text: string, lettersMax: number = NAME_MAX): number {
  const length = Math.min(text.length, lettersMax);
  bytes[offset] = length;
  for (let i = 0; i < length; i++) bytes[offset + 1 + i] = text.charCodeAt(i);
  return offset + 1 + length;
}

/**
 * Reads records that follow one another, each into the same fields. Beyond the end, or of a form that nobody writes, `isBroken`, and then
 * nothing more comes.
 */
export class RecordReader {
  bytes: Buffer = Buffer.alloc(0);
  at = 0;
  end = 0;
  isBroken = false;
  /** Of the record that was read: its key, as bytes of `bytes`. */
  keyFrom = 0;
  keyTo = 0;
  hop = 0;
  isPart = false;
  /** Since the base of its run, ms. */
  sinceMs = 0;
  bytesIn = 0;
  bytesOut = 0;
  durationUs = 0;
  upstreamUs = 0;
  units: readonly Units[] = NO_UNITS;
  /** Where its trace id begins, 16 bytes; -1: none. */
  traceAt = -1;

  begin(bytes: Buffer, from: number, to: number): void {
    this.bytes = bytes;
    this.at = from;
    this.end = to;
    this.isBroken = false;
  }

  /** False at the end, and for what is broken. */
  next(): boolean {
    if (this.at >= this.end) return false;
    const { bytes } = this;
    const flags = bytes[this.at++] as number;
    if (flags > (HAS_UNITS | HAS_TRACE | HAS_HOP | IS_PART)) return this.#break();
    this.isPart = (flags & IS_PART) !== 0;
    const hasHop = (flags & HAS_HOP) !== 0;
    if (hasHop && this.at + 1 >= this.end) return this.#break();
    this.hop = hasHop ? (bytes[this.at++] as number) : 0;
    this.keyFrom = this.at;
    this.keyTo = keyEnd(bytes, this.at, this.end);
    if (this.keyTo === -1) return this.#break();
    // One without the other is nobody's, and neither is no hop.
    if (hasHop !== hasOperation(bytes, this.keyFrom) || (hasHop && this.hop === 0)) return this.#break();
    this.at = this.keyTo;
    this.sinceMs = this.#varint();
    this.bytesIn = this.#varint();
    this.bytesOut = this.#varint();
    this.durationUs = this.#varint();
    this.upstreamUs = this.#varint();
    this.units = (flags & HAS_UNITS) === 0 ? NO_UNITS : this.#readUnits();
    this.traceAt = (flags & HAS_TRACE) === 0 ? -1 : this.at;
    if (this.traceAt !== -1) this.at += 16;
    return this.at <= this.end && !this.isBroken ? true : this.#break();
  }

  #varint(): number {
    const { bytes, end } = this;
    let byte = this.at < end ? (bytes[this.at++] as number) : 0x80;
    let value = byte & 0x7f;
    for (let scale = 0x80; byte >= 0x80; scale *= 0x80) {
      if (this.at >= end || scale > 2 ** 49) {
        this.isBroken = true;
        return 0;
      }
      byte = bytes[this.at++] as number;
      value += (byte & 0x7f) * scale;
    }
    if (value > Number.MAX_SAFE_INTEGER) this.isBroken = true;
    return value;
  }

  #readUnits(): readonly Units[] {
    const count = this.at < this.end ? (this.bytes[this.at++] as number) : 0;
    if (count === 0 || count > UNITS_MAX) this.isBroken = true;
    const units: Units[] = [];
    for (let i = 0; i < count && !this.isBroken; i++) {
      const to = textEnd(this.bytes, this.at, this.end);
      // Without a name it would be a use of the request's own.
      if (to <= this.at + 1 || to + 8 > this.end) this.isBroken = true;
      else {
        const amount = this.bytes.readDoubleBE(to);
        // Neither NaN is.
        if (!(Math.abs(amount) <= UNITS_EACH_MAX)) this.isBroken = true;
        units.push({ meter: this.bytes.toString('latin1', this.at + 1, to), units: amount });
        this.at = to + 8;
      }
    }
    return units;
  }

  #break(): false {
    this.isBroken = true;
    this.at = this.end;
    return false;
  }
}

/** What a key says. */
export interface UsageKey {
  readonly outcome: UsageOutcome;
  readonly methodClass: MethodClass;
  readonly statusClass: number;
  readonly tenant: string;
  readonly route: string;
  readonly upstream: string;
  /** Where it began; empty: where it was recorded. */
  readonly operation: string;
}

/** Longest key, bytes. */
export const KEY_BYTES_MAX: number = 2 + 3 * (1 + NAME_MAX) + 1 + OPERATION_MAX;

/** Where the key that begins at `from` ends; -1: it is none. */
export function keyEnd(bytes: Buffer, from: number, end: number): number {
  if (from + 2 > end || (bytes[from] as number) >= OUTCOMES.length) return -1;
  const classes = bytes[from + 1] as number;
  const isOfOperation = hasOperation(bytes, from);
  const ofMethod = (isOfOperation ? classes - HAS_OPERATION : classes) >>> 3;
  if (ofMethod >= METHOD_CLASSES.length || (classes & 7) > 5) return -1;
  let at = from + 2;
  for (let i = 0; i < 3 && at !== -1; i++) at = textEnd(bytes, at, end);
  return at === -1 || !isOfOperation ? at : textEnd(bytes, at, end, OPERATION_MAX);
}

function hasOperation(bytes: Buffer, from: number): boolean {
  return ((bytes[from + 1] as number) & HAS_OPERATION) !== 0;
}

function textEnd(bytes: Buffer, from: number, end: number, lettersMax: number = NAME_MAX): number {
  if (from >= end) return -1;
  const length = bytes[from] as number;
  return length > lettersMax || from + 1 + length > end ? -1 : from + 1 + length;
}

/** Of bytes that `keyEnd` found to be a key. */
export function readKey(bytes: Buffer, from: number): UsageKey {
  const classes = bytes[from + 1] as number;
  let at = from + 2;
  const text = (): string => {
    const to = at + 1 + (bytes[at] as number);
    const read = bytes.toString('latin1', at + 1, to);
    at = to;
    return read;
  };
  return {
    outcome: OUTCOMES[bytes[from] as number] as UsageOutcome,
    methodClass: METHOD_CLASSES[(classes >>> 3) & 3] as MethodClass,
    statusClass: classes & 7,
    tenant: text(),
    route: text(),
    upstream: text(),
    operation: hasOperation(bytes, from) ? text() : '',
  };
}
