/** Records as bytes: what was written is what is read, and whatever else is read breaks the reader and nothing more. */
import fc from 'fast-check';
import t from 'tap';
import { RunsWriter, readRecords, readRuns } from '../../src/metering/runs.ts';
import {
  METHOD_CLASSES,
  NAME_MAX,
  OUTCOMES,
  RECORD_BYTES_MAX,
  RecordReader,
  readKey,
  UNITS_MAX,
  type UsageRecord,
  WALL_MS_MAX,
  writeRecord,
} from '../../src/metering/usage-record.ts';
import { readSeries, readWindows, Windows } from '../../src/metering/windows.ts';
import { recordOf } from './world.ts';

const name = fc.stringMatching(/^[a-z0-9][-a-z0-9]{0,62}$/);
const whole = fc.oneof(fc.nat(300), fc.nat(), fc.maxSafeNat());
const units = fc.array(fc.record({ meter: name, units: fc.double({ min: -1e15, max: 1e15, noNaN: true }) }), {
  maxLength: UNITS_MAX,
});
const operation = fc.tuple(name, fc.oneof(fc.constant(''), name)).map((names) => names.join('/'));
const began = fc.oneof(
  fc.constant({ hop: 0, operation: '' }),
  fc.record({ hop: fc.integer({ min: 1, max: 255 }), operation }),
);
const facts = fc.record({
  wallMs: fc.integer({ min: 1_790_000_000_000, max: 1_790_000_100_000 }),
  tenant: name,
  route: fc.oneof(fc.constant(''), name),
  upstream: fc.oneof(fc.constant(''), name),
  outcome: fc.constantFrom(...OUTCOMES),
  methodClass: fc.constantFrom(...METHOD_CLASSES),
  statusClass: fc.integer({ min: 0, max: 5 }),
  bytesIn: whole,
  bytesOut: whole,
  durationUs: whole,
  upstreamUs: whole,
  units,
  isPart: fc.boolean(),
  traceId: fc.oneof(fc.constant(''), fc.stringMatching(/^[0-9a-f]{32}$/)),
});
export const aRecord: fc.Arbitrary<UsageRecord> = fc.tuple(facts, began).map((both) => ({ ...both[0], ...both[1] }));

const BASE = 1_790_000_000_000;

function write(records: readonly UsageRecord[]): Buffer {
  const bytes = Buffer.alloc(records.length * RECORD_BYTES_MAX);
  let at = 0;
  for (const record of records) at = writeRecord(bytes, at, record, BASE);
  return bytes.subarray(0, at);
}

function read(reader: RecordReader): UsageRecord {
  const { bytes, keyFrom, hop, isPart, sinceMs, bytesIn, bytesOut, durationUs, upstreamUs, traceAt } = reader;
  return {
    ...readKey(bytes, keyFrom),
    hop,
    isPart,
    wallMs: BASE + sinceMs,
    bytesIn,
    bytesOut,
    durationUs,
    upstreamUs,
    units: reader.units.map((each) => ({ ...each })),
    traceId: traceAt === -1 ? '' : bytes.toString('hex', traceAt, traceAt + 16),
  };
}

function readAll(bytes: Buffer): { readonly records: UsageRecord[]; readonly isBroken: boolean } {
  const reader = new RecordReader();
  reader.begin(bytes, 0, bytes.length);
  const records: UsageRecord[] = [];
  while (reader.next()) records.push(read(reader));
  return { records, isBroken: reader.isBroken };
}

t.test('what was written is what is read', async (t) => {
  fc.assert(
    fc.property(fc.array(aRecord, { maxLength: 5 }), (records) => {
      const { records: found, isBroken } = readAll(write(records));
      t.notOk(isBroken);
      const same = (each: UsageRecord): UsageRecord => ({ ...each, units: each.units.map((unit) => ({ ...unit })) });
      t.strictSame(found, records.map(same));
    }),
    { numRuns: 300 },
  );
});

t.test('a record of a request takes 24 bytes or less but for its names', async (t) => {
  const record = recordOf({
    tenant: '',
    route: '',
    wallMs: BASE,
    bytesIn: 0,
    bytesOut: 4096,
    durationUs: 9000,
    upstreamUs: 8000,
  });
  t.ok(write([record]).length <= 24, `${write([record]).length} bytes`);
  const behind = write([{ ...record, operation: 'a/b', hop: 1 }]);
  t.equal(behind.length, write([record]).length + 2 + 'a/b'.length, 'hop, a length and the name, where there is one');
});

t.test('whatever can be written is taken by all who read it, single and folded', async () => {
  const amount = fc.oneof(fc.double({ noNaN: true }), fc.constantFrom(2e15, -2e15, 1e308, -1e308, 1e15));
  const any = fc.record({
    record: aRecord,
    units: fc.array(fc.record({ meter: name, units: amount }), { maxLength: UNITS_MAX + 2 }),
  });
  fc.assert(
    fc.property(fc.array(any, { maxLength: 5 }), (many) => {
      const records = many.map(({ record, units }) => ({ ...record, units }));
      const bytes = write(records);
      const runs = new RunsWriter(2 * bytes.length + 100);
      runs.begin();
      const run = { firstSeq: 1, lastSeq: records.length, baseMs: BASE, lastMs: BASE, chainBefore: 0, chainAfter: 0 };
      if (!runs.add({ ...run, records: undefined, windows: undefined }, bytes)) throw new Error('no room');
      const windows = new Windows({ spanMs: 1000, rowsMax: 1000, seriesMax: 1000 });
      const count = readRuns(runs.payload, (reader, base) => {
        for (const { units } of reader.units) if (Math.abs(units) > 1e15) throw new Error('more than a use can have');
        return windows.addRecord(reader, base);
      });
      if (count !== records.length) throw new Error(`${count} of ${records.length}`);
      let told = 0;
      const isWhole = readWindows(windows.encode(), (_windowMs, series, { count, bytesIn, bytesOut, units }) => {
        if (readSeries(series).meter === '') told += count;
        return Math.max(bytesIn, bytesOut, Math.abs(units)) <= Number.MAX_SAFE_INTEGER;
      });
      const requests = records.filter(({ isPart }) => !isPart).length;
      if (!isWhole || told !== requests) throw new Error(`folded: ${told} of ${requests}`);
    }),
    { numRuns: 300 },
  );
});

t.test('the largest record has room, and what is too long is cut', async (t) => {
  const long = 'n'.repeat(NAME_MAX + 30);
  const record = recordOf({
    ...{ tenant: long, route: long, upstream: long, operation: `${long}${long}`, hop: 255, traceId: 'f'.repeat(32) },
    ...{
      wallMs: BASE + 2 ** 45,
      bytesIn: 2 ** 53 - 1,
      bytesOut: 2 ** 53 - 1,
      durationUs: 2 ** 53 - 1,
      upstreamUs: 2 ** 53 - 1,
    },
    units: Array.from({ length: UNITS_MAX + 4 }, () => ({ meter: long, units: 1e15 })),
  });
  const bytes = Buffer.alloc(RECORD_BYTES_MAX);
  t.ok(writeRecord(bytes, 0, record, BASE) <= RECORD_BYTES_MAX);
  const [found] = readAll(bytes.subarray(0, writeRecord(bytes, 0, record, BASE))).records;
  t.equal(found?.tenant, 'n'.repeat(NAME_MAX));
  t.equal(found?.operation.length, 2 * NAME_MAX + 1);
  t.equal(found?.units.length, UNITS_MAX);
});

t.test('a time before the base of its block is that of the block', async (t) => {
  t.equal(readAll(write([recordOf({ wallMs: BASE - 5 })])).records[0]?.wallMs, BASE);
});

t.test('bytes that nobody wrote break the reader, never more', async () => {
  const whole = write([recordOf({ units: [{ meter: 'tokens', units: 3 }], traceId: 'ab'.repeat(16) }), recordOf()]);
  fc.assert(
    fc.property(fc.nat(whole.length - 1), fc.nat(255), fc.nat(whole.length), (at, byte, length) => {
      const bytes = Buffer.from(whole.subarray(0, length));
      if (at < length) bytes[at] = byte;
      for (const { tenant, units } of readAll(bytes).records)
        if (tenant.length > NAME_MAX || units.length > UNITS_MAX) throw new Error('hostile');
    }),
    { numRuns: 2000 },
  );
  fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => void readAll(Buffer.from(bytes))));
});

t.test('each form that nobody writes is refused', async (t) => {
  const sound = write([recordOf({ units: [{ meter: 'm', units: 1 }] })]);
  const broken = (change: (bytes: Buffer) => unknown): void => {
    const bytes = Buffer.from(sound);
    const changed = change(bytes);
    t.match(readAll(changed instanceof Buffer ? changed : bytes), { records: [], isBroken: true });
  };
  const unitsAt = sound.length - 10;
  t.match(readAll(sound), { isBroken: false });
  broken((bytes) => void (bytes[0] = 16));
  broken((bytes) => void (bytes[1] = OUTCOMES.length));
  broken((bytes) => void (bytes[2] = METHOD_CLASSES.length * 8));
  broken((bytes) => void (bytes[2] = 6));
  broken((bytes) => void (bytes[3] = NAME_MAX + 1));
  broken((bytes) => void (bytes[unitsAt - 1] = 0));
  broken((bytes) => void (bytes[unitsAt - 1] = UNITS_MAX + 1));
  broken((bytes) => void (bytes[unitsAt] = 0));
  broken((bytes) => void bytes.writeDoubleBE(Number.NaN, sound.length - 8));
  broken((bytes) => void bytes.writeDoubleBE(1e16, sound.length - 8));
  for (let length = 1; length < sound.length; length++) broken((bytes) => bytes.subarray(0, length));
  broken((bytes) => Buffer.concat([Buffer.from([5, 1]), bytes.subarray(1)]));
  broken((bytes) => void (bytes[2] = (bytes[2] as number) | 32));
  const began = write([recordOf({ operation: 'shop/checkout', hop: 3 })]);
  t.match(readAll(began), { records: [{ operation: 'shop/checkout', hop: 3 }], isBroken: false });
  for (let length = 1; length < began.length; length++) broken(() => began.subarray(0, length));
  const changed = (at: number, byte: number): Buffer => {
    const bytes = Buffer.from(began);
    bytes[at] = byte;
    return bytes;
  };
  broken(() => changed(1, 0));
  broken(() => changed(3, 32 + METHOD_CLASSES.length * 8));
  broken(() => changed(began.indexOf('shop/') - 1, 2 * NAME_MAX + 2));
  const nine = Buffer.concat([write([recordOf({ tenant: '', route: '' })]).subarray(0, 6), Buffer.alloc(9, 0xff)]);
  t.ok(readAll(nine).isBroken, 'a number of nine bytes');
  const large = Buffer.concat([nine.subarray(0, 6), Buffer.alloc(7, 0xff), Buffer.from([0x7f, 0, 0, 0, 0])]);
  t.ok(readAll(large).isBroken, 'a number beyond 2^53');
});

t.test('runs of a batch are read as they were written, and what is not whole is refused', async (t) => {
  const runs = new RunsWriter(4096);
  runs.begin();
  const run = { chainBefore: 0, chainAfter: 0, records: undefined, windows: undefined };
  const add = (firstSeq: number, baseMs: number, records: readonly UsageRecord[]): boolean =>
    runs.add({ ...run, firstSeq, lastSeq: firstSeq + records.length - 1, baseMs, lastMs: baseMs }, write(records));
  t.ok(add(1, BASE, [recordOf(), recordOf({ tenant: 'globex', wallMs: BASE + 3 })]));
  t.ok(add(3, BASE + 500, [recordOf({ tenant: 'initech' })]));
  t.notOk(add(4, BASE + 499, [recordOf()]), 'time that goes back begins another batch');
  t.notOk(
    add(
      4,
      BASE + 500,
      Array.from({ length: 200 }, () => recordOf()),
    ),
    'what has no room begins another',
  );
  const { payload } = runs;
  const seen: string[] = [];
  const take = ({ bytes, keyFrom, sinceMs }: RecordReader, baseMs: number): boolean => {
    seen.push(`${readKey(bytes, keyFrom).tenant} ${baseMs - BASE + sinceMs}`);
    return true;
  };
  t.equal(readRuns(payload, take), 3);
  t.strictSame(seen, ['acme 0', 'globex 3', 'initech 500']);
  t.equal(readRuns(Buffer.alloc(0), take), 0);
  t.equal(
    readRuns(payload, () => false),
    -1,
    'whoever takes them may stop',
  );
  for (let length = 1; length < payload.length; length++)
    if (readRuns(payload.subarray(0, length), () => true) !== -1)
      t.equal(length, payload.length - write([recordOf({ tenant: 'initech' })]).length - 4);
  const wrongCount = Buffer.from(payload);
  wrongCount[6] = 1;
  t.equal(
    readRuns(wrongCount, () => true),
    -1,
    'another number of records than it says',
  );
  const late = Buffer.alloc(9, 0xff);
  late[7] = 0;
  t.equal(
    readRuns(late, () => true),
    -1,
    `no clock is beyond ${WALL_MS_MAX}`,
  );
  t.equal(
    readRecords(Buffer.from([9]), BASE, () => true),
    -1,
  );
  fc.assert(
    fc.property(fc.nat(payload.length - 1), fc.nat(255), (at, byte) => {
      const bytes = Buffer.from(payload);
      bytes[at] = byte;
      readRuns(bytes, () => true);
    }),
    { numRuns: 2000 },
  );
});
