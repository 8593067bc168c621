/** The rows of fleets in memory: what they cost, who has room, and that messages of them are made once. */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import t from 'tap';
import { KeptRows, ROW_BYTES } from '../../../src/collector/kept/kept-rows.ts';
import { systemTimers } from '../../../src/core/index.ts';
import type { KeptRow } from '../../../src/metering/index.ts';
import { kept, textsOf } from './open-keeper.ts';

const named = (count: number, more: Partial<KeptRow> = {}): KeptRow[] =>
  Array.from({ length: count }, (_, at) => kept(`k${at}`, 1, more));

function sizes(rows: KeptRows, ...fleets: string[]): number[] {
  return fleets.map((fleet) => [...rows.of(fleet)].length);
}

t.test('a fleet takes what is free, and leaves room for another to begin; in rows and in bytes', async (t) => {
  for (const bounds of [{ rows: 800 }, { bytes: 800 * (ROW_BYTES + 10) }]) {
    const rows = new KeptRows(bounds);
    for (const fleet of ['blue', 'green', 'red'])
      for (let at = 0; at < 1000; at++)
        rows.put(fleet, kept(`key-${String(at).padStart(4, '0')}`, 1, { value: Buffer.from('vv') }));
    t.same(sizes(rows, 'blue', 'green', 'red'), [700, 88, 11], JSON.stringify(bounds));
    t.equal(rows.put('blue', kept('key-0001', 2)), 'news', 'what is there is replaced');
  }
});

t.test('rows that were put before are put again in any order', async (t) => {
  const rows = new KeptRows({ rows: 80 });
  const order = [
    ['green', 10],
    ['blue', 70],
    ['red', 1],
  ] as const;
  const answers = order.flatMap(([fleet, count]) => named(count).map((row) => rows.putAgain(fleet, row)));
  t.same(sizes(rows, 'green', 'blue', 'red'), [10, 70, 0]);
  t.equal(answers.at(-1), 'full', 'all of it is a bound');
});

t.test('there are only so many fleets', async (t) => {
  const many = new KeptRows();
  for (let i = 0; i < 64; i++) t.equal(many.put(`f${i}`, kept('a', 1)), 'news');
  t.equal(many.put('f64', kept('a', 1)), 'full');
  t.equal(many.put('f0', kept('b', 1)), 'news');
});

t.test('the place of what is forgotten is taken by what comes next', async (t) => {
  const rows = new KeptRows();
  for (const row of [...named(3, { untilMs: 10 }), kept('stays', 1)]) rows.put('blue', row);
  for (const _ of rows.dropping(10));
  for (const row of named(3, { value: Buffer.from('new') })) rows.put('blue', row);
  t.same(textsOf(rows.of('blue')), ['new', 'new', 'new', 'stays=1']);
  t.equal(rows.textBytes, 3 * 'k0new'.length + 'staysstays=1'.length);
});

t.test('a message is made once for all who read it, and anew when a row of it changed', async (t) => {
  const rows = new KeptRows({ messages: 30 });
  for (const row of named(400)) rows.put('blue', row);
  let made = 0;
  const make = (of: readonly KeptRow[]): Buffer => {
    made++;
    return Buffer.from(`${of.length};`);
  };
  const read = (): string => Buffer.concat([...rows.messages('blue', make)]).toString();
  t.equal(read(), '160;160;80;');
  t.equal(made, 3);
  read();
  t.equal(made, 3);
  t.equal(rows.messageBytes, 11);
  rows.put('blue', kept('k170', 2));
  t.equal(read(), '160;160;80;');
  t.equal(made, 4);
  rows.put('blue', kept('late', 1));
  t.equal(read(), '160;160;81;');
  t.equal(made, 5);
  rows.letGo();
  t.equal(rows.messageBytes, 0);
  t.equal(read(), '160;160;81;');
  t.equal(made, 8);
  t.same([...rows.messages('green', make)], []);
  for (const row of named(4)) rows.put('green', row);
  const large = (): Buffer => Buffer.alloc(29);
  t.equal([...rows.messages('green', large)].length, 1);
  t.equal(rows.messageBytes, 11, 'there is no room to hold it');
  for (const _ of rows.dropping(Number.MAX_SAFE_INTEGER));
  t.equal(rows.messageBytes, 0);
  t.same([...rows.fleets()], []);
});

t.test('messages of rows that are all forgotten are left out', async (t) => {
  const rows = new KeptRows();
  for (const row of [...named(160, { untilMs: 1 }), ...named(200).slice(160)]) rows.put('blue', row);
  for (const _ of rows.dropping(1));
  t.same([...rows.messages('blue', (of) => Buffer.from(String(of.length)))].map(String), ['40']);
});

t.test('what a row takes in memory, and that it holds nothing of the message it came in', async (t) => {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  // What lies outside of the heap goes a turn or two behind the heap's.
  const used = async (): Promise<number> => {
    let least = Number.POSITIVE_INFINITY;
    for (let turn = 0; turn < 6; turn++) {
      collect();
      const { heapUsed, arrayBuffers } = process.memoryUsage();
      least = Math.min(least, heapUsed + arrayBuffers);
      await systemTimers.yieldLoop();
    }
    return least;
  };
  const rows = new KeptRows();
  // One row of a message of 100 kB, as a library cuts them: views of it.
  const cut = (at: number): KeptRow => {
    const message = Buffer.alloc(at % 100 === 0 ? 100_000 : 100);
    message.write(`count tenant-${at} api_calls 20783 0123456789abcdef[12345,0]`);
    const { length } = `count tenant-${at} api_calls 20783 0123456789abcdef`;
    const [key, value] = [message.subarray(0, length), message.subarray(length, length + 9)];
    return { key, version: at + 0.5, value, untilMs: 1_800_000_000_000 + at };
  };
  const before = await used();
  const count = 70_000;
  for (let at = 0; at < count; at++) rows.put('blue', cut(at));
  const bytes = ((await used()) - before - rows.textBytes) / count;
  t.comment(`a row takes ${Math.round(bytes)} bytes beside its key and its value`);
  t.ok(bytes > 50 && bytes <= ROW_BYTES, String(bytes));
});
