/** Windows are the sums of a simple model, in whatever order and of whatever spans they were made; hostile payloads are refused, nothing throws. */
import fc from 'fast-check';
import t from 'tap';
import { Writer } from '../../src/core/index.ts';
import { readRecords } from '../../src/metering/runs.ts';
import { SeriesTable } from '../../src/metering/series-table.ts';
import { RECORD_BYTES_MAX, UNITS_MAX, type UsageRecord, writeRecord } from '../../src/metering/usage-record.ts';
import { isSeries, readWindows, type Sums, Windows } from '../../src/metering/windows.ts';
import { recordOf } from './world.ts';

const BASE = 1_790_000_000_000;
const SPANS = { spanMs: 1000, seriesMax: 10_000, rowsMax: 100_000 };

/** Few of each, so that rows are shared; sums stay below 2^53. */
const aRecord: fc.Arbitrary<UsageRecord> = fc
  .record({
    wallMs: fc.integer({ min: BASE, max: BASE + 5000 }),
    tenant: fc.constantFrom('acme', 'globex', 'a'),
    route: fc.constantFrom('', 'orders'),
    upstream: fc.constantFrom('', 'payments'),
    outcome: fc.constantFrom('ok', 'denied'),
    methodClass: fc.constantFrom('read', 'write'),
    statusClass: fc.constantFrom(2, 4),
    bytesIn: fc.nat(),
    bytesOut: fc.nat(),
    durationUs: fc.nat(),
    upstreamUs: fc.nat(),
    units: fc.array(fc.record({ meter: fc.constantFrom('tokens', 'rows'), units: fc.integer({ min: -99, max: 99 }) }), {
      maxLength: 2,
    }),
    traceId: fc.constant(''),
    isPart: fc.boolean(),
    hop: fc.constantFrom(0, 1, 2),
  })
  .map((facts) => ({ ...facts, operation: facts.hop === 0 ? '' : 'shop/checkout' }));

function bytesOf(records: readonly UsageRecord[]): Buffer {
  const bytes = Buffer.alloc(records.length * RECORD_BYTES_MAX);
  let at = 0;
  for (const record of records) at = writeRecord(bytes, at, record, BASE);
  return bytes.subarray(0, at);
}

function fold(records: readonly UsageRecord[], spanMs: number): Windows {
  const windows = new Windows({ ...SPANS, spanMs });
  readRecords(bytesOf(records), BASE, (reader, base) => windows.addRecord(reader, base));
  return windows;
}

/** Rows by window and series, as text. */
type Table = Record<string, Sums>;

function tableOf(windows: Windows): Table {
  const table: Table = {};
  for (let row = 0; row < windows.size; row++)
    table[JSON.stringify([windows.windowMs(row), windows.series(row)])] = windows.sums(row);
  return table;
}

const NOTHING: Sums = { count: 0, bytesIn: 0, bytesOut: 0, durationUs: 0, durationUsMax: 0, upstreamUs: 0, units: 0 };

/** The same, by the simplest means. */
function modelOf(records: readonly UsageRecord[], spanMs: number): Table {
  const table: Table = {};
  for (const record of records) {
    const { outcome, methodClass, statusClass, tenant, route, upstream, operation } = record;
    const windowMs = Math.floor(record.wallMs / spanMs) * spanMs;
    const row = (meter: string): Sums => {
      const names = { tenant, route, upstream, operation, meter };
      const key = JSON.stringify([windowMs, { outcome, methodClass, statusClass, ...names }]);
      return (table[key] ??= { ...NOTHING });
    };
    const sums = row('');
    if (!record.isPart) sums.count++;
    sums.bytesIn += record.bytesIn;
    sums.bytesOut += record.bytesOut;
    sums.durationUs += record.durationUs;
    sums.durationUsMax = Math.max(sums.durationUsMax, record.durationUs);
    sums.upstreamUs += record.upstreamUs;
    for (const { meter, units } of record.units) {
      row(meter).count++;
      row(meter).units += units;
    }
  }
  return table;
}

/** What a payload says, summed into windows of another span. */
function refold(payload: Buffer, spanMs: number): Windows {
  const windows = new Windows({ ...SPANS, spanMs });
  if (!readWindows(payload, (windowMs, series, sums) => windows.addRow(windowMs, series, sums)))
    throw new Error('refused');
  return windows;
}

t.test('sums are those of the model, also when they are folded in steps', async (t) => {
  fc.assert(
    fc.property(fc.array(aRecord, { maxLength: 60 }), (records) => {
      const seconds = fold(records, 1000);
      t.strictSame(tableOf(seconds), modelOf(records, 1000));
      t.strictSame(tableOf(refold(seconds.encode(), 1000)), modelOf(records, 1000));
      t.strictSame(tableOf(refold(seconds.encode(), 60_000)), modelOf(records, 60_000));
      t.strictSame(tableOf(refold(refold(seconds.encode(), 2000).encode(), 3_600_000)), modelOf(records, 3_600_000));
    }),
    { numRuns: 40 },
  );
});

t.test('thousands of rows and series are found again, and cleared', async (t) => {
  const records = Array.from({ length: 3000 }, (_, i) => recordOf({ tenant: `t${i}`, wallMs: BASE + (i % 7) * 1000 }));
  const windows = fold(records, 1000);
  t.strictSame(tableOf(windows), modelOf(records, 1000));
  t.strictSame(tableOf(refold(windows.encode(), 1000)), modelOf(records, 1000));
  windows.clear();
  t.equal(windows.size, 0);
  t.equal(
    readWindows(windows.encode(), () => false),
    true,
    'nothing is a payload too',
  );
});

t.test('at its bounds nothing of a record is added', async (t) => {
  const two = [recordOf(), recordOf({ units: [{ meter: 'tokens', units: 1 }] })];
  for (const [bounds, fits] of [
    [{ rowsMax: 1 }, 1],
    [{ rowsMax: 2 }, 1],
    [{ rowsMax: 3 }, 2],
    [{ seriesMax: 1 }, 1],
    [{ seriesMax: 2 }, 1],
    [{ seriesMax: 3 }, 2],
  ] as const) {
    const windows = new Windows({ ...SPANS, ...bounds });
    let added = 0;
    readRecords(bytesOf(two), BASE, (reader, base) => windows.addRecord(reader, base) && ++added > 0);
    t.equal(added, fits, JSON.stringify(bounds));
  }
  const full = new Windows({ ...SPANS, rowsMax: 0 });
  t.notOk(readWindows(fold(two, 1000).encode(), (windowMs, series, sums) => full.addRow(windowMs, series, sums)));
});

t.test('a sum that could not be exact any more is not made: another row is begun', async (t) => {
  const large = recordOf({
    ...{ bytesIn: 2 ** 53 - 1, bytesOut: 0, durationUs: 0, upstreamUs: 0 },
    units: Array.from({ length: UNITS_MAX }, () => ({ meter: 'tokens', units: 1e15 })),
  });
  const rowsOf = (windows: Windows): Sums[] => Array.from({ length: windows.size }, (_, row) => windows.sums(row));
  const totalOf = (windows: Windows, of: 'count' | 'bytesIn' | 'units'): bigint =>
    rowsOf(windows).reduce((sum, each) => sum + BigInt(each[of]), 0n);
  const windows = fold([large, large, recordOf({ bytesIn: 1 }), large], 1000);
  // Enough of others that the table grows, and what was full is found anew.
  const more = Array.from({ length: 600 }, (_, i) => recordOf({ tenant: `t${i}`, bytesIn: 0 }));
  readRecords(bytesOf([...more, large]), BASE, (reader, base) => windows.addRecord(reader, base));
  for (const each of [
    windows,
    refold(windows.encode(), 1000),
    refold(refold(windows.encode(), 1000).encode(), 60_000),
  ]) {
    t.equal(totalOf(each, 'bytesIn'), 4n * (2n ** 53n - 1n) + 1n);
    t.equal(totalOf(each, 'units'), 64n * 10n ** 15n);
    t.equal(totalOf(each, 'count'), 605n + 64n);
    for (const { bytesIn, units } of rowsOf(each))
      if (Math.max(bytesIn, units) > Number.MAX_SAFE_INTEGER) t.fail(`${bytesIn} bytes, ${units} units`);
  }
});

t.test('payloads that nobody made are refused, and never throw', async (t) => {
  const payload = fold(
    Array.from({ length: 20 }, (_, i) => recordOf({ tenant: `t${i}`, units: [{ meter: 'm', units: i }] })),
    1000,
  ).encode();
  const take = (): boolean => true;
  t.ok(readWindows(payload, take));
  t.notOk(
    readWindows(payload, () => false),
    'whoever takes them may stop',
  );
  t.notOk(readWindows(Buffer.alloc(0), take));
  t.notOk(readWindows(Buffer.from([0]), take), 'windows of no length');
  let sound = 0;
  for (let length = 0; length < payload.length; length++) if (readWindows(payload.subarray(0, length), take)) sound++;
  t.ok(sound <= 40, 'but for those that end with a series');
  const target = new Windows({ ...SPANS, rowsMax: 1000 });
  const into = (windowMs: number, series: Buffer, sums: Readonly<Sums>): boolean => {
    if (!isSeries(series) || !Number.isFinite(sums.units)) throw new Error('hostile');
    return target.addRow(windowMs, series, sums);
  };
  fc.assert(
    fc.property(fc.nat(payload.length - 1), fc.nat(255), (at, byte) => {
      const bytes = Buffer.from(payload);
      bytes[at] = byte;
      readWindows(bytes, into);
    }),
    { numRuns: 2000 },
  );
  fc.assert(fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => void readWindows(Buffer.from(bytes), into)));
  target.encode();
});

t.test('a row of another time than clocks have, or of units that are no number, is refused', async (t) => {
  const payloadOf = (window: number, units: number): Buffer => {
    const writer = new Writer(500);
    const series = Buffer.from([0, 2, 1, 97, 0, 0, 0]);
    writer.varint(1000);
    writer.varint(series.length);
    writer.raw(series);
    writer.varint(1);
    for (const value of [window, 1, 1, 1, 1, 1, 1]) writer.varint(value);
    writer.f64(units);
    return writer.bytes.subarray(0, writer.offset);
  };
  t.ok(readWindows(payloadOf(1, 1), () => true));
  t.notOk(readWindows(payloadOf(2 ** 40, 1), () => true));
  t.notOk(readWindows(payloadOf(1, Number.NaN), () => true));
  t.notOk(readWindows(payloadOf(1, Number.POSITIVE_INFINITY), () => true));
});

t.test('a series is a key with a meter behind it, and nothing else', async (t) => {
  const sound = Buffer.from([0, 2, 1, 97, 0, 0, 1, 109]);
  t.ok(isSeries(sound));
  for (let length = 0; length < sound.length; length++) t.notOk(isSeries(sound.subarray(0, length)));
  t.notOk(isSeries(Buffer.concat([sound, Buffer.from([0])])));
  t.notOk(isSeries(Buffer.from([0, 2, 1, 97, 0, 0, 64, ...Buffer.alloc(64, 97)])));
});

t.test('series with one hash are told apart', async (t) => {
  const table = new SeriesTable(100_000);
  const key = (text: string): Buffer => Buffer.from(text, 'latin1');
  // FNV-1a of both is one: the last byte of one is the first of the other's meter.
  const first = table.numberOfMeter(key('xa'), 0, 2, 'b');
  const second = table.numberOfMeter(key('x'), 0, 1, 'ab');
  t.notOk(first === second);
  t.equal(table.numberOfMeter(key('xa'), 0, 2, 'b'), first);
  t.equal(table.numberOf(key('xab'), 0, 3), 2);
  t.equal(table.numberOfMeter(key('ya'), 1, 2, 'c'), 3);
  t.equal(table.numberOfMeter(key('yb'), 1, 2, 'c'), 4);
  t.equal(table.size, 5);
  t.equal(table.bytesTotal, 4 + 4 + 4 + 3 + 3);
});
