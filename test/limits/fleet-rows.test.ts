import fc from 'fast-check';
import t from 'tap';
import { writeVarint } from '../../src/core/index.ts';
import { ageScale, rateScale } from '../../src/limits/fleet/log-byte.ts';
import { NAME_MAX, RowLog } from '../../src/limits/fleet/row-log.ts';
import { ROWS_MAX } from '../../src/limits/fleet/row-table.ts';
import { VarintReader } from '../../src/limits/fleet/varint.ts';

/** Of somebody who has no limit of its own. */
const newLog = (): RowLog => new RowLog(() => '');

/** Writes a row, with its name when it is the first. */
function say(log: RowLog, number: number, admitted: number): void {
  if (log.nameOf(number) === undefined) log.putName({ number, version: log.version + 1, name: `tenant-${number}` });
  const [demand, rate] = [rateScale.encode(20), rateScale.encode(10)];
  log.put({ number, version: log.version + 1, admitted, demand, rate, at: 1000 });
}

/** What one log hands to another that holds all up to `after`. */
function delta(log: RowLog, after: number, now = 1000, room = 10_000): { bytes: Uint8Array; upTo: number } {
  const bytes = new Uint8Array(room);
  const { offset, upTo } = log.write(after, now, bytes, 0, room);
  return { bytes: bytes.subarray(0, offset), upTo };
}

function take(log: RowLog, after: number, upTo: number, bytes: Uint8Array, now = 1000): boolean {
  const rows = log.read(after, upTo, now, bytes);
  for (const each of rows ?? []) {
    if ('name' in each) log.putName(each);
    else log.put(each);
  }
  return rows !== undefined;
}

const told = (log: RowLog, number: number): unknown => [
  log.nameOf(number),
  log.admitted(number),
  log.demand(number),
  log.rate(number),
];

t.test('a byte holds a rate within 4.4 % and an age within 3 %', async (t) => {
  fc.assert(
    fc.property(fc.double({ min: 0.02, max: 3e7, noNaN: true }), (value) => {
      const back = rateScale.decode(rateScale.encode(value));
      return Math.abs(back - value) <= 0.045 * value;
    }),
  );
  fc.assert(
    fc.property(fc.double({ min: 1, max: 2.4e6, noNaN: true }), (value) => {
      const back = ageScale.decode(ageScale.encode(value));
      return Math.abs(back - value) <= 0.031 * value;
    }),
  );
  t.equal(rateScale.decode(rateScale.encode(0)), 0);
  t.equal(rateScale.encode(1e30), 255);
  t.equal(rateScale.encode(0.006), 1, 'little is not nothing');
});

t.test('integers come back; what is cut short or too large is not sound', async (t) => {
  const bytes = new Uint8Array(16);
  fc.assert(
    fc.property(fc.maxSafeNat(), (value) => {
      const end = writeVarint(bytes, 0, value);
      const reader = new VarintReader(bytes.subarray(0, end));
      return reader.varint() === value && reader.isSound && reader.isAtEnd;
    }),
  );
  for (const bad of [
    [],
    [0x80],
    [255, 255, 255, 255, 255, 255, 255, 127],
    [255, 255, 255, 255, 255, 255, 255, 255, 1],
  ]) {
    const reader = new VarintReader(Uint8Array.from(bad));
    t.equal(reader.varint(), 0);
    t.notOk(reader.isSound);
    t.ok(reader.isAtEnd);
  }
});

t.test('a delta brings what changed, once, with its name until that is known', async (t) => {
  const log = newLog();
  t.same(log.write(0, 0, new Uint8Array(100), 7, 100), { offset: 7, upTo: 0 }, 'nothing yet');
  say(log, 0, 10);
  say(log, 1, 20);
  const other = newLog();
  const first = delta(log, 0);
  t.ok(take(other, 0, first.upTo, first.bytes));
  t.same([other.version, other.size, told(other, 0), told(other, 1)], [4, 2, told(log, 0), told(log, 1)]);
  t.notOk(other.has(5));

  say(log, 0, 99);
  const second = delta(log, 4, 1500);
  t.ok(second.bytes.length < 12, 'a row that is known takes a dozen bytes at most');
  t.ok(take(other, 4, second.upTo, second.bytes, 5000));
  t.same(told(other, 0), ['tenant-0', 99, log.demand(0), log.rate(0)]);
  t.ok(Math.abs(5000 - other.at(0) - 500) < 20, 'its age is reckoned on');

  // Whoever is behind by more gets the name from the one that was told it.
  const late = newLog();
  const third = delta(other, 0);
  t.ok(take(late, 0, third.upTo, third.bytes));
  t.same(told(late, 0), told(log, 0));
  t.ok(take(late, 0, third.upTo, third.bytes), 'twice is once');
  t.same(told(late, 0), told(log, 0));
});

t.test('a delta that does not fit ends at a row, and goes on from there', async (t) => {
  const log = newLog();
  for (let number = 0; number < 100; number++) say(log, number, number);
  const other = newLog();
  let frames = 0;
  while (other.version < log.version) {
    const { bytes, upTo } = delta(log, other.version, 1000, 300);
    t.ok(take(other, other.version, upTo, bytes));
    frames++;
  }
  t.ok(frames > 5);
  for (let number = 0; number < 100; number++) t.same(told(other, number), told(log, number));
});

t.test('what is malformed, does not continue, or takes back what was said changes nothing', async (t) => {
  const log = newLog();
  say(log, 0, 10);
  say(log, 1, 20);
  const { bytes, upTo } = delta(log, 0);
  const other = newLog();
  const refused = (after: number, to: number, of: Uint8Array): void => {
    t.equal(other.read(after, to, 1000, of), undefined);
    t.equal(other.version, 0);
  };
  refused(1, 2, bytes);
  refused(0, 0, bytes);
  refused(0, upTo + 1, bytes);
  refused(0, upTo - 1, bytes);
  refused(0, upTo, bytes.subarray(0, bytes.length - 1));
  const crafted = (write: (bytes: Uint8Array) => number): Uint8Array => {
    const room = new Uint8Array(200);
    return room.subarray(0, write(room));
  };
  const nameOf = (number: number, name: string): Uint8Array =>
    crafted((room) => {
      let at = writeVarint(room, 0, 1);
      at = writeVarint(room, at, number * 2 + 1);
      at = writeVarint(room, at, name.length);
      for (const letter of name) room[at++] = letter.charCodeAt(0);
      return at;
    });
  const rowOf = (number: number, admitted: number): Uint8Array =>
    crafted((room) => writeVarint(room, writeVarint(room, writeVarint(room, 0, 1), number * 2), admitted) + 3);
  refused(0, 1, rowOf(0, 5));
  refused(
    0,
    1,
    crafted((room) => writeVarint(room, 0, 0) + 3),
  );
  refused(0, 1, nameOf(0, 'x'.repeat(NAME_MAX + 1)));
  refused(0, 1, nameOf(ROWS_MAX, 'acme'));
  t.ok(take(other, 0, 1, nameOf(0, 'acme')));
  t.ok(take(other, 1, 2, rowOf(0, 5)));
  t.equal(other.read(2, 3, 1000, rowOf(0, 4)), undefined, 'what was admitted does not fall');
  t.same([other.admitted(0), other.nameOf(0)], [5, 'acme']);
});

t.test(
  'whatever is lost, doubled and reordered, nobody holds what was not said, and all hold it in the end',
  async () => {
    fc.assert(
      fc.property(
        fc.array(fc.record({ number: fc.nat(6), admitted: fc.nat(50) }), { maxLength: 40 }),
        fc.array(fc.record({ from: fc.nat(2), to: fc.nat(2), isLost: fc.boolean() }), { maxLength: 60 }),
        fc.integer({ min: 120, max: 400 }),
        (said, frames, room) => {
          const logs = [newLog(), newLog(), newLog()] as const;
          const truth = new Map<number, number>();
          const late: (() => void)[] = [];
          for (const [at, { number, admitted }] of said.entries()) {
            truth.set(number, (truth.get(number) ?? 0) + admitted);
            say(logs[0], number, truth.get(number) as number);
            const frame = frames[at % Math.max(1, frames.length)];
            if (frame === undefined || frame.to === 0) continue;
            const [from, to] = [logs[frame.from] as RowLog, logs[frame.to] as RowLog];
            const after = to.version;
            const { bytes, upTo } = delta(from, after, 1000, room);
            const arrive = (): void => void take(to, after, upTo, bytes);
            if (!frame.isLost) arrive();
            late.push(arrive);
          }
          for (const arrive of late.reverse()) arrive();
          for (const log of logs)
            for (let number = 0; number < log.size; number++)
              if (log.has(number) && log.admitted(number) > (truth.get(number) ?? 0)) return false;
          for (const log of logs.slice(1))
            while (log.version < logs[0].version) {
              const { bytes, upTo } = delta(logs[0], log.version, 1000, room);
              if (!take(log, log.version, upTo, bytes)) return false;
            }
          return [...truth].every(([number, admitted]) => logs.every((log) => log.admitted(number) === admitted));
        },
      ),
    );
  },
);
