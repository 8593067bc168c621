/** The store of sums in this thread: its contract, its files, and what it does when they fail. */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DuckDBInstance } from '@duckdb/node-api';
import t, { type Test } from 'tap';
import { DuckRollups } from '../../src/collector/duck/duck-rollups.ts';
import type { Manifest, SumFile } from '../../src/collector/duck/manifest.ts';
import { nextMerge, spansOf } from '../../src/collector/duck/merging.ts';
import { RollupThread } from '../../src/collector/duck/rollup-thread.ts';
import { Turns } from '../../src/collector/duck/turns.ts';
import type { Question } from '../../src/collector/rollups.ts';
import { BEGIN_S, rollupStoreContract } from '../contracts/rollup-store.ts';
import { ALL_REQUESTS } from './memory-rollups.ts';
import { usage, windowsOf } from './told.ts';

const HOUR_S = 3600;
const DAY_S = 86_400;
function place(t: Test) {
  const dir = mkdtempSync(join(tmpdir(), 'reeve-sums-'));
  t.teardown(() => rmSync(dir, { recursive: true }));
  return { dir, memoryBytes: 2 ** 28, threads: 1, keepMinutesS: 7 * DAY_S, keepHoursS: 400 * DAY_S };
}

rollupStoreContract(t, 'DuckDB', () => {
  const o = place(t);
  return () => DuckRollups.open(o);
});

t.test('sums of before operations were told apart are read, merged and kept: each began where it was', async (t) => {
  const o = place(t);
  const byOperation: Question = { ...ALL_REQUESTS, by: ['operation'] };
  let store = await DuckRollups.open(o);
  const at = (hour: number): { wallMs: number } => ({ wallMs: (BEGIN_S + hour * HOUR_S) * 1000 });
  await store.apply('orders', windowsOf([usage(at(0)), usage({ ...at(0), outcome: 'reported' }), usage(at(5))]));
  await store.save('w', BEGIN_S + HOUR_S);
  await store.close();
  // As a version before wrote it.
  const path = join(o.dir, 'manifest.json');
  const { version, files, ...rest } = JSON.parse(readFileSync(path, 'utf8')) as Manifest;
  t.equal(version, 2);
  const old = files.map(({ hasOperation, ...file }) => file);
  writeFileSync(path, JSON.stringify({ version: 1, files: old, ...rest }));
  const instance = await DuckDBInstance.create(':memory:');
  const duck = await instance.connect();
  for (const name of [rest.hot, ...old.map(({ name }) => name)]) {
    const file = join(o.dir, name as string);
    await duck.run(`CREATE OR REPLACE TABLE x AS SELECT * EXCLUDE operation FROM '${file}'`);
    await duck.run(`COPY x TO '${file}' (FORMAT parquet)`);
  }
  duck.closeSync();
  store = await DuckRollups.open(o);
  t.same(await store.query(byOperation), [
    { of: [''], meter: 'requests', value: 0 },
    { of: ['orders/orders'], meter: 'requests', value: 2 },
  ]);
  await store.apply('orders', windowsOf([usage({ ...at(0), operation: 'shop/list', hop: 1 })]));
  t.equal(await store.save('w', BEGIN_S + HOUR_S), 1);
  const now = [
    { of: [''], meter: 'requests', value: 0 },
    { of: ['orders/orders'], meter: 'requests', value: 2 },
    { of: ['shop/list'], meter: 'requests', value: 1 },
  ];
  t.same(await store.query(byOperation), now, 'old files and new ones');
  await store.tidy(BEGIN_S + 3 * DAY_S, BEGIN_S + 3 * DAY_S);
  t.equal((await store.figures()).files, 2, 'merged');
  t.same(await store.query(byOperation), now);
  await store.close();
  store = await DuckRollups.open(o);
  t.same(await store.query(byOperation), now);
  t.same(await store.query({ ...byOperation, where: { operation: 'shop/list' } }), now.slice(2));
  await store.close();
});

t.test(
  'files: sealed hours are merged and forgotten in time; what no list names is removed; exports are written',
  async (t) => {
    const o = place(t);
    let store = await DuckRollups.open(o);
    const records = Array.from({ length: 30 }, (_, hour) => usage({ wallMs: (BEGIN_S + hour * HOUR_S) * 1000 }));
    await store.apply('orders', windowsOf(records));
    t.equal(await store.save('w', BEGIN_S + 30 * HOUR_S), 30);
    t.equal((await store.figures()).files, 60);
    await store.tidy(BEGIN_S + 3 * DAY_S, BEGIN_S + 3 * DAY_S);
    const merged = await store.figures();
    t.ok(merged.files < 30, `${merged.files} files`);
    t.match(await store.query(ALL_REQUESTS), [{ value: 30 }]);
    t.match(await store.query({ ...ALL_REQUESTS, source: 'minutes', fromS: BEGIN_S, toS: BEGIN_S + HOUR_S }), [
      { value: 1 },
    ]);
    t.same(await store.query({ ...ALL_REQUESTS, source: 'seconds' }), []);
    const csv = await store.export('csv', 0, 4e9);
    t.match(readFileSync(csv, 'utf8'), /^hour,service,tenant,.*\n2026-09-24 10:00:00,orders,acme/);
    t.equal(readFileSync(await store.export('ndjson', 0, 4e9), 'utf8').split('\n').length, 31);
    t.equal(readFileSync(await store.export('parquet', 0, 4e9)).toString('latin1', 0, 4), 'PAR1');
    await store.close();
    writeFileSync(join(o.dir, 'h-1-99.parquet'), 'a rest of a crash');
    store = await DuckRollups.open(o);
    t.notOk(readdirSync(o.dir).some((name) => name.startsWith('export') || name === 'h-1-99.parquet'));
    t.match(await store.query(ALL_REQUESTS), [{ value: 30 }]);
    await store.tidy(BEGIN_S + 9 * DAY_S + 30 * HOUR_S, BEGIN_S + 9 * DAY_S + 30 * HOUR_S);
    t.same(await store.query({ ...ALL_REQUESTS, source: 'minutes' }), [], 'minutes are gone');
    t.match(await store.query(ALL_REQUESTS), [{ value: 30 }]);
    await store.tidy(BEGIN_S + 403 * DAY_S, BEGIN_S + 403 * DAY_S);
    t.same(await store.query(ALL_REQUESTS), []);
    await store.close();
  },
);

t.test('days beside merged hours answer what asks for no hours, whatever part of them is asked for', async (t) => {
  const o = place(t);
  let store = await DuckRollups.open(o);
  const dayS = BEGIN_S - (BEGIN_S % DAY_S);
  // Of each hour another number, so that none is taken for another.
  const records = Array.from({ length: 72 }, (_, hour) =>
    Array.from({ length: 1 + (hour % 7) }, () => usage({ wallMs: (dayS + hour * HOUR_S) * 1000 })),
  ).flat();
  await store.apply('orders', windowsOf(records));
  await store.save('w', dayS + 3 * DAY_S);
  const spans: [number, number][] = [
    [0, 72],
    [5, 72],
    [24, 48],
    [5, 60],
    [5, 23],
    [30, 31],
    [24, 50],
    [20, 48],
    [71, 90],
  ];
  const ask = async (stepS?: number): Promise<unknown[]> => {
    const answers: unknown[] = [];
    for (const [from, to] of spans) {
      const fromS = dayS + from * HOUR_S;
      const question = { ...ALL_REQUESTS, fromS, toS: dayS + to * HOUR_S, ...(stepS === undefined ? {} : { stepS }) };
      answers.push(await store.query(question));
    }
    return answers;
  };
  const [whole, byDay, byHour] = [await ask(), await ask(DAY_S), await ask(HOUR_S)];
  const hold = async (what: string): Promise<void> => {
    t.same(await ask(), whole, what);
    t.same(await ask(DAY_S), byDay, `${what}, by day`);
    t.same(await ask(HOUR_S), byHour, `${what}, by hour`);
  };
  const daysIn = (): string[] => readdirSync(o.dir).filter((name) => name.startsWith('d-'));
  t.same(daysIn(), []);
  await store.tidy(dayS + 5 * DAY_S, dayS + 5 * DAY_S);
  t.equal(daysIn().length, 3);
  await hold('days');
  // Only then is it known that they are read.
  const duck = await (await DuckDBInstance.create(':memory:')).connect();
  const first = join(o.dir, daysIn()[0] as string);
  await duck.run(`CREATE TABLE x AS SELECT * REPLACE (count + 1000 AS count) FROM '${first}'`);
  await store.close();
  await duck.run(`COPY x TO '${first}' (FORMAT parquet)`);
  store = await DuckRollups.open(o);
  const [[wholeNow], [cutNow]] = (await ask()) as [[{ value: number }], [unknown]];
  t.equal(wholeNow.value, ((whole[0] as { value: number }[])[0]?.value ?? 0) + 1000, 'a whole file');
  t.same(cutNow, (whole[1] as unknown[])[0], 'and of a day that is cut none');
  await store.close();
  for (const name of daysIn()) rmSync(join(o.dir, name));
  store = await DuckRollups.open(o);
  await hold('removed by a version that does not know them');
  await store.tidy(dayS + 5 * DAY_S, dayS + 5 * DAY_S);
  t.equal(daysIn().length, 3, 'made again');
  await store.tidy(dayS + 60 * DAY_S, dayS + 60 * DAY_S);
  t.equal(daysIn().length, 1, 'merged, and made of what was merged');
  await hold('merged');
  await store.tidy(dayS + 500 * DAY_S, dayS + 500 * DAY_S);
  t.same(daysIn(), [], 'gone with their hours');
  await store.close();
});

t.test('a save that fails leaves all as it was; the next one has it', async (t) => {
  const o = place(t);
  const store = await DuckRollups.open(o);
  await store.apply('orders', windowsOf([usage(), usage()]));
  const good = o.dir;
  Object.assign(o, { dir: join(good, 'gone') });
  await t.rejects(store.save('w', BEGIN_S + HOUR_S));
  t.match(await store.query(ALL_REQUESTS), [{ value: 2 }]);
  Object.assign(o, { dir: good });
  t.equal(await store.save('w', BEGIN_S + HOUR_S), 1);
  t.match(await store.query(ALL_REQUESTS), [{ value: 2 }]);
  await t.rejects(store.apply('orders', Buffer.from([1, 2, 3])), /cannot be read/);
  await store.close();
});

t.test('a save whose old file cannot be removed stands, and counts once', async (t) => {
  const o = place(t);
  let store = await DuckRollups.open(o);
  await store.apply('orders', windowsOf([usage({ wallMs: BEGIN_S * 1000 })]));
  await store.save('one', 0);
  const old = readdirSync(o.dir).find((name) => name.startsWith('hot-')) as string;
  rmSync(join(o.dir, old));
  // A directory is not removed as a file is.
  mkdirSync(join(o.dir, old, 'kept'), { recursive: true });
  t.equal(await store.save('two', BEGIN_S + HOUR_S), 1);
  t.match(await store.query(ALL_REQUESTS), [{ value: 1 }]);
  await store.close();
  store = await DuckRollups.open(o);
  t.equal(store.word, 'two');
  t.match(await store.query(ALL_REQUESTS), [{ value: 1 }]);
  t.notOk(readdirSync(o.dir).includes(old));
  await store.close();
});

t.test('seconds become minutes, and the sums stay', async (t) => {
  const store = await DuckRollups.open(place(t));
  await store.apply(
    'orders',
    windowsOf(Array.from({ length: 300 }, (_, i) => usage({ wallMs: BEGIN_S * 1000 + i * 1000 }))),
  );
  t.equal((await store.figures()).hotRows, 300);
  await store.tidy(BEGIN_S + 300, BEGIN_S + 300);
  t.equal((await store.figures()).hotRows, 3 + 120);
  t.match(await store.query({ ...ALL_REQUESTS, source: 'minutes', fromS: BEGIN_S, toS: BEGIN_S + 60 }), [
    { value: 60 },
  ]);
  t.match(await store.query({ ...ALL_REQUESTS, source: 'seconds', fromS: BEGIN_S + 200, toS: BEGIN_S + 210 }), [
    { value: 10 },
  ]);
  await store.close();
});

t.test('a list of files that is damaged, or a place that is none, is said with the remedy', async (t) => {
  const o = place(t);
  writeFileSync(join(o.dir, 'manifest.json'), '{');
  await t.rejects(DuckRollups.open(o), { code: 'rollups-unusable', remedy: /--rebuild/ });
  await t.rejects(
    RollupThread.open(o, () => {}),
    { code: 'rollups-unusable', remedy: /--rebuild/, place: /manifest/ },
  );
  writeFileSync(join(o.dir, 'file'), '');
  await t.rejects(DuckRollups.open({ ...o, dir: join(o.dir, 'file') }), { code: 'rollups-unusable' });
});

t.test('the thread: too many questions at once are refused, and an end is an end', async (t) => {
  const store = await RollupThread.open(place(t), () => t.fail('it did not die'));
  const asked = await Promise.allSettled(Array.from({ length: 70 }, () => store.query(ALL_REQUESTS)));
  t.equal(asked.filter(({ status }) => status === 'rejected').length, 6);
  await t.rejects(store.apply('orders', Buffer.from([1, 2, 3])), /cannot be read/);
  await store.close();
  await store.close();
});

t.test('what is worth merging', async (t) => {
  const file = (fromS: number, toS: number, bytes = 100, kind: SumFile['kind'] = 'hours'): SumFile => ({
    name: `${kind}${fromS}-${toS}`,
    kind,
    fromS,
    toS,
    rev: 0,
    bytes,
  });
  const later = 100 * DAY_S;
  const day = [file(0, HOUR_S), file(HOUR_S, 2 * HOUR_S)];
  t.same(nextMerge(day, later)?.files, day);
  t.equal(nextMerge(day, DAY_S), undefined, 'the day is not over');
  t.equal(nextMerge([file(0, DAY_S, 1000), file(0, HOUR_S, 1)], later), undefined, 'a little waits');
  t.equal(
    nextMerge(
      [file(0, DAY_S, 1000), ...Array.from({ length: 8 }, (_, i) => file(i * HOUR_S, (i + 1) * HOUR_S, 1))],
      later,
    )?.files.length,
    9,
  );
  t.equal(nextMerge([file(0, DAY_S), file(DAY_S, 2 * DAY_S)], later)?.files.length, 2, 'days of a week');
  t.equal(nextMerge([file(0, 7 * DAY_S), file(7 * DAY_S, 14 * DAY_S)], later)?.files.length, 2, 'weeks');
  t.equal(nextMerge([file(0, DAY_S, 1, 'minutes'), file(DAY_S, 2 * DAY_S, 1, 'minutes')], later), undefined);
  t.equal(nextMerge([file(0, HOUR_S), file(0, HOUR_S, 1, 'minutes')], later), undefined, 'each kind for itself');
  t.same(spansOf([0, HOUR_S, 10 * DAY_S], 11 * DAY_S), [
    [0, 2 * HOUR_S],
    [10 * DAY_S, 10 * DAY_S + HOUR_S],
  ]);
});

t.test('one that works alone waits for those before it, and those behind it wait', async (t) => {
  const turns = new Turns();
  const did: string[] = [];
  let finish = (): void => {};
  const first = turns.shared(() => new Promise<void>((resolve) => (finish = resolve)));
  const alone = turns.alone(async () => void did.push('alone'));
  const behind = turns.shared(async () => void did.push('behind'));
  await new Promise((resolve) => setImmediate(resolve));
  t.same(did, []);
  finish();
  await Promise.all([first, alone, behind]);
  t.same(did, ['alone', 'behind']);
  await t.rejects(turns.shared(async () => Promise.reject(new Error('a'))));
  await t.rejects(turns.alone(async () => Promise.reject(new Error('b'))));
  t.equal(await turns.shared(async () => 1), 1);
});
