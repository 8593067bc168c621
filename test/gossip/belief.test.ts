/** What is believed of a third: the laws of its merge, and its way through bytes. */
import fc from 'fast-check';
import t from 'tap';
import { Reader, Writer } from '../../src/core/bytes.ts';
import {
  type Belief,
  identityBytes,
  isNewer,
  NAME_BYTES_MAX,
  readRecord,
  type Standing,
  tagOf,
  writeRecord,
} from '../../src/gossip/belief.ts';

const SEED = 42;
const state = fc.constantFrom('alive', 'suspect', 'dead', 'left' as const);
const standing = fc.record({ state, refutation: fc.integer({ min: 0, max: 3 }) });
const merged = (a: Standing, b: Standing): Standing => (isNewer(b, a) ? b : a);

t.test('what two believe of a third merges commutatively, associatively and idempotently', async (t) => {
  fc.assert(
    fc.property(standing, standing, standing, (a, b, c) => {
      const same = (x: Standing, y: Standing): boolean => x.state === y.state && x.refutation === y.refutation;
      return (
        same(merged(a, b), merged(b, a)) &&
        same(merged(a, merged(b, c)), merged(merged(a, b), c)) &&
        same(merged(a, a), a) &&
        (same(merged(a, b), a) || same(merged(a, b), b))
      );
    }),
    { seed: SEED, numRuns: 5000 },
  );
  t.ok(isNewer({ state: 'alive', refutation: 1 }, { state: 'dead', refutation: 0 }), 'who refutes is alive again');
  t.ok(isNewer({ state: 'left', refutation: 1 }, { state: 'dead', refutation: 1 }), 'who left is not dead');
});

const hex = (bytes: number): fc.Arbitrary<string> =>
  fc.uint8Array({ minLength: bytes, maxLength: bytes }).map((each) => Buffer.from(each).toString('hex'));
const belief = fc.record({
  incarnation: hex(8),
  name: fc.string({ maxLength: NAME_BYTES_MAX }).filter((text) => Buffer.byteLength(text) <= NAME_BYTES_MAX),
  address: fc.string({ maxLength: 40 }).map((text) => `${text.replace(/[^\x20-\x7e]/g, '')}:1`),
  state,
  refutation: fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER }),
  accuser: fc.integer({ min: 0, max: 0xffff_ffff }),
  agoMs: fc.integer({ min: 0, max: 1e6 }).map((tenths) => tenths * 100),
});

function written(each: Belief, capacity = 1000): Buffer | undefined {
  const writer = new Writer(capacity);
  const fits = writeRecord(writer, identityBytes(each), each, each.accuser, each.agoMs);
  return fits ? writer.bytes.subarray(0, writer.offset) : undefined;
}

t.test('a record is read as it was written', async (t) => {
  fc.assert(
    fc.property(belief, (each) => {
      const read = readRecord(new Reader(written(each) as Buffer));
      t.same(read, {
        ...each,
        accuser: each.state === 'suspect' ? each.accuser : 0,
        agoMs: each.state === 'dead' || each.state === 'left' ? each.agoMs : 0,
      });
    }),
    { seed: SEED, numRuns: 300 },
  );
  t.equal(tagOf('0102030405060708'), 0x01020304);
});

t.test('a record that does not fit is not begun, one that is cut or malformed is none', async (t) => {
  const each: Belief = {
    incarnation: '0102030405060708',
    name: 'x'.repeat(100),
    address: 'host:1',
    state: 'suspect',
    refutation: 3,
    accuser: 9,
    agoMs: 0,
  };
  t.equal(written(each, 90), undefined);
  const bytes = written(each) as Buffer;
  t.equal(readRecord(new Reader(bytes))?.name, 'x'.repeat(NAME_BYTES_MAX), 'long names are cut');
  for (let length = 0; length < bytes.length; length++)
    t.equal(readRecord(new Reader(bytes.subarray(0, length))), undefined);
  const stateAt = 8 + 1 + NAME_BYTES_MAX + 1 + 6;
  for (const [at, value] of [
    [stateAt, 4],
    [8, 65],
    [8 + 1 + NAME_BYTES_MAX, 129],
    [stateAt - 2, 0x20],
  ] as const) {
    const wrong = Buffer.from(bytes);
    wrong[at] = value;
    t.equal(readRecord(new Reader(wrong)), undefined, `${value} at ${at}`);
  }
});

t.test(
  'numbers are read as they were written; too large ones, and what is beyond the end, break the reader',
  async (t) => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER }), (value) => {
        const writer = new Writer(16);
        writer.varint(value);
        writer.u32(value >>> 0);
        const reader = new Reader(writer.bytes.subarray(0, writer.offset));
        return reader.varint() === value && reader.u32() === value >>> 0 && !reader.hasMore && !reader.isBroken;
      }),
      { seed: SEED },
    );
    const huge = new Reader(Buffer.alloc(20, 0xff));
    t.equal(huge.varint(), 0);
    t.ok(huge.isBroken && !huge.hasMore);
    const over = new Reader(Buffer.from([0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f]));
    t.equal(over.varint(), 0);
    t.ok(over.isBroken);
    const short = new Reader(Buffer.alloc(3));
    t.same([short.u32(), short.hex(8), short.raw(2).length, short.u8()], [0, '', 0, 0]);
    t.ok(short.isBroken);
    t.ok(new Reader(Buffer.alloc(3), 4).isBroken);
  },
);
