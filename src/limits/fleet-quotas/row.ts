/**
 * What sidecars tell each other of quotas: rows of one form. Of two rows of one key the larger numbers hold, each for itself, so that lost,
 * doubled and late rows change nothing.
 *
 *   kind    key                                   x                       y
 *   count   tenant, meter, day, from              counted                 given back
 *   total   tenant, meter, day                    sum of a closed day     0
 *   gauge   tenant, meter, from                   wall ms of the report   value (that of the larger x)
 *   event   tenant, meter, day, from              mark reached, units     mark announced
 *   spent   tenant, meter, day, from              spent of rights         given back
 *   want    tenant, meter, day, from              rights wanted in all    what of that is wanted no more
 *   grant   tenant, meter, day, from, to          rights given in all     0; to nobody: what one that crashed may have spent, and did
 *   keep    tenant, meter, day, from, to          of a share given, what the giver keeps   0
 *   share   day, meter: who began it, from, to    begin of the part       its end
 *   will    day, from, to                         1 heir, 2 next life, 3 next life after a crash     0; of 3: crashes before it
 *
 * `day` is that of the count, that on which a window begins, or that on which a charter or a will was made. Kinds stand in the order in which they must be known: who reads
 * a share has what is kept of it, who reads a will has all that its writer spent.
 */

import { VARINT_BYTES_MAX, writeVarint } from '../../core/index.ts';
import type { VarintReader } from '../fleet/varint.ts';
import { ACTOR, isCount, isName } from '../quotas/sound.ts';

export type RowKind = (typeof KINDS)[number];
export const KINDS = ['count', 'total', 'gauge', 'event', 'spent', 'want', 'grant', 'keep', 'share', 'will'] as const;

export interface RowKey {
  readonly kind: RowKind;
  /** Empty where the kind has none. */
  readonly tenant: string;
  readonly meter: string;
  readonly day: number;
  /** 16 hex digits; `NOBODY` where the kind has none. */
  readonly from: string;
  readonly to: string;
}

export interface FleetRow extends RowKey {
  readonly x: number;
  readonly y: number;
}

export const NOBODY: string = '0'.repeat(16);
/** Of a definition: kind, two names, day, two actors. */
const KEY_BYTES_MAX = 1 + 2 * 64 + VARINT_BYTES_MAX + 16;
/** A definition, or two numbers, and what stands before. */
export const ENTRY_BYTES_MAX: number = 2 * VARINT_BYTES_MAX + KEY_BYTES_MAX;
/** Whole seconds until the year 2106: gauges have no days. */
const DAY_MAX = 2 ** 32;
const NAME_MAX = 63;
/** Before a number that is not whole: eight bytes follow. Whole ones are doubled. */
const FRACTION = 1;

export function row(key: Pick<RowKey, 'kind'> & Partial<RowKey>, x: number, y = 0): FleetRow {
  return { tenant: '', meter: '', day: 0, from: NOBODY, to: NOBODY, ...key, x, y };
}

export function keyOf({ kind, tenant, meter, day, from, to }: RowKey): string {
  return `${kind} ${tenant} ${meter} ${day} ${from} ${to}`;
}

/** Rows that differ in their day alone. */
export function seriesOf({ kind, tenant, meter, from, to }: RowKey): string {
  return `${kind} ${tenant} ${meter} ${from} ${to}`;
}

/** Whether a row can be one. */
export function isSound({ kind, tenant, meter, day, from, to, x, y }: FleetRow): boolean {
  return (
    KINDS.includes(kind) &&
    (tenant === '' || isName(tenant)) &&
    (meter === '' || isName(meter)) &&
    Number.isInteger(day) &&
    day >= 0 &&
    day <= DAY_MAX &&
    ACTOR.test(from) &&
    ACTOR.test(to) &&
    isCount(x) &&
    isCount(y)
  );
}

/** Beside the kind: `from` is whoever tells it, and there is no `to`. Neither is written then. */
const [BY_TELLER, TO_NOBODY] = [16, 32] as const;

/** `teller`: whose log it is. */
export function writeKey(bytes: Uint8Array, offset: number, key: RowKey, teller: string): number {
  const [isByTeller, isToNobody] = [key.from === teller, key.to === NOBODY];
  let at = offset;
  bytes[at++] = KINDS.indexOf(key.kind) + (isByTeller ? BY_TELLER : 0) + (isToNobody ? TO_NOBODY : 0);
  at = writeText(bytes, at, key.tenant);
  at = writeText(bytes, at, key.meter);
  at = writeVarint(bytes, at, key.day);
  if (!isByTeller) at = writeActor(bytes, at, key.from);
  return isToNobody ? at : writeActor(bytes, at, key.to);
}

/** Undefined when no key can be that. */
export function readKey(reader: VarintReader, teller: string): RowKey | undefined {
  const head = reader.byte();
  const kind = KINDS[head % BY_TELLER];
  const tenant = reader.text(NAME_MAX);
  const meter = reader.text(NAME_MAX);
  const day = reader.varint();
  const from = (head & BY_TELLER) > 0 ? teller : readActor(reader);
  const to = (head & TO_NOBODY) > 0 ? NOBODY : readActor(reader);
  if (kind === undefined || !reader.isSound) return undefined;
  const key = { kind, tenant, meter, day, from, to };
  return isSound({ ...key, x: 0, y: 0 }) ? key : undefined;
}

const float = new DataView(new ArrayBuffer(8));

export function writeNumber(bytes: Uint8Array, offset: number, value: number): number {
  if (Number.isInteger(value)) return writeVarint(bytes, offset, value * 2);
  const at = writeVarint(bytes, offset, FRACTION);
  float.setFloat64(0, value);
  for (let i = 0; i < 8; i++) bytes[at + i] = float.getUint8(i);
  return at + 8;
}

export function readNumber(reader: VarintReader): number {
  const head = reader.varint();
  if (head !== FRACTION) return head % 2 === 0 ? head / 2 : Number.NaN;
  for (let i = 0; i < 8; i++) float.setUint8(i, reader.byte());
  return float.getFloat64(0);
}

function writeText(bytes: Uint8Array, offset: number, text: string): number {
  bytes[offset] = text.length;
  for (let i = 0; i < text.length; i++) bytes[offset + 1 + i] = text.charCodeAt(i);
  return offset + 1 + text.length;
}

function writeActor(bytes: Uint8Array, offset: number, actor: string): number {
  for (let i = 0; i < 8; i++) bytes[offset + i] = Number.parseInt(actor.slice(2 * i, 2 * i + 2), 16);
  return offset + 8;
}

function readActor(reader: VarintReader): string {
  let actor = '';
  for (let i = 0; i < 8; i++) actor += reader.byte().toString(16).padStart(2, '0');
  return actor;
}
