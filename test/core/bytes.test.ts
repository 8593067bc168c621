/** What is written is read; what is cut short or too large breaks the reader, which then yields nothing more. */
import fc from 'fast-check';
import t from 'tap';
import { Reader, Writer } from '../../src/core/index.ts';

t.test('what is written is read back, in its order', async (t) => {
  fc.assert(
    fc.property(
      fc.record({
        u8: fc.nat(255),
        u32: fc.nat(0xffff_ffff),
        varint: fc.maxSafeNat(),
        text: fc.string({ unit: fc.constantFrom('a', 'é', '~'), maxLength: 200 }),
        f64: fc.double(),
        hex: fc.uint8Array({ minLength: 8, maxLength: 8 }),
        raw: fc.uint8Array({ maxLength: 40 }),
      }),
      ({ u8, u32, varint, text, f64, hex, raw }) => {
        const writer = new Writer(1024);
        writer.u8(u8);
        writer.u32(u32);
        writer.varint(varint);
        writer.text(text);
        writer.f64(f64);
        writer.hex(Buffer.from(hex).toString('hex'));
        writer.raw(raw);
        t.equal(writer.room, 1024 - writer.offset);
        const reader = new Reader(writer.bytes.subarray(0, writer.offset));
        t.equal(reader.u8(), u8);
        t.equal(reader.u32(), u32);
        t.equal(reader.varint(), varint);
        t.equal(reader.text(200), text);
        t.ok(Object.is(reader.f64(), f64));
        t.equal(reader.hex(8), Buffer.from(hex).toString('hex'));
        t.same(Uint8Array.from(reader.raw(raw.length)), raw);
        t.notOk(reader.hasMore);
        t.notOk(reader.isBroken);
        t.equal(writer.reset(10).room, 10, 'used again');
      },
    ),
    { numRuns: 100 },
  );
});

t.test('beyond the end everything is nothing, and the reader is broken', async (t) => {
  for (const [name, read, nothing] of [
    ['u8', (reader: Reader) => reader.u8(), 0],
    ['u32', (reader: Reader) => reader.u32(), 0],
    ['varint', (reader: Reader) => reader.varint(), 0],
    ['text', (reader: Reader) => reader.text(10), ''],
    ['f64', (reader: Reader) => reader.f64(), 0],
    ['hex', (reader: Reader) => reader.hex(8), ''],
    ['raw', (reader: Reader) => reader.raw(1).length, 0],
  ] as const) {
    const reader = new Reader(Buffer.alloc(0));
    t.equal(read(reader), nothing, name);
    t.ok(reader.isBroken, name);
    t.notOk(reader.hasMore, name);
  }
  t.ok(new Reader(Buffer.alloc(1), 2).isBroken, 'begun beyond the end');
});

t.test('numbers that are too large, and texts that are too long, break it', async (t) => {
  const large = new Reader(Buffer.alloc(9, 0xff));
  t.equal(large.varint(), 0);
  t.ok(large.isBroken);
  const unsafe = new Reader(Buffer.from([0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f]));
  t.equal(unsafe.varint(), 0);
  t.ok(unsafe.isBroken);
  const writer = new Writer(64);
  writer.text('four');
  const long = new Reader(writer.bytes.subarray(0, writer.offset));
  t.equal(long.text(3), '');
  t.ok(long.isBroken);
});
