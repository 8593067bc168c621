/** What becomes of records, and of requests, when the spool is full, fenced, copied, cut short, removed or read-only; each is said. */
import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { systemTimers, type Timers } from '../../src/core/index.ts';
import { fencedBeside, type Metering } from '../../src/metering/index.ts';
import type { Identified } from '../../src/pipeline/index.ts';
import type { Tenant } from '../../src/tenants/index.ts';
import { exchangeForTest } from '../pipeline/exchange-for-test.ts';
import { grpcCollector, recordsOf } from './grpc-collector.ts';
import { MemoryDisk } from './memory-disk.ts';
import { collectorOf, isTold, metered, reaches, tempDir } from './metered.ts';

/** What becomes of a request of acme. */
function answerTo({ filter }: Metering): unknown {
  const x = exchangeForTest();
  x.tenant = { id: 'acme' } as Tenant;
  return filter.onRequest?.(x as Identified);
}

t.test('fenced: the files are put aside, and a new spool is told', async (t) => {
  const dir = join(tempDir(t), 'spool');
  const collector = await grpcCollector(t);
  const { end, said, metering, text } = await metered(t, { dir, ...collectorOf(collector) });
  end('acme', 2);
  await isTold(collector, 2);
  const [hello] = collector.heard;
  end('acme', 3);
  collector.say({ kind: 'fence', reason: 'it was copied' });
  await reaches(() => said.some(({ event }) => event === 'metering.fenced'), true);
  const id = (hello as { spoolId: string }).spoolId;
  t.ok(existsSync(`${dir}.fenced-${id.slice(0, 8)}`));
  end('globex', 1);
  // Those of the turn in which it was fenced came along.
  await reaches(() => collector.records().at(-1)?.tenant, 'globex');
  t.strictSame(fencedBeside(dir), [`${dir}.fenced-${id.slice(0, 8)}`]);
  t.match(await text(), /reeve_meter_fences_total 1\n/);
  collector.say({ kind: 'fence', reason: 'once more' });
  await reaches(() => said.some(({ event }) => event === 'metering.fenced_again'), true);
  t.equal(fencedBeside(dir).length, 1, 'not a spool after the other');
  end('globex', 1);
  await metering.close();
});

t.test('fenced where the files cannot be put aside: it is said, records are kept, and nobody is told', async (t) => {
  const disk = new MemoryDisk();
  const collector = await grpcCollector(t);
  let again: (() => void) | undefined;
  const timers: Timers = {
    ...systemTimers,
    // What is tried again in 10 min is tried when the test says so.
    after(ms, run) {
      if (ms < 600_000) return systemTimers.after(ms, run);
      again = run;
      return { cancel() {} };
    },
  };
  const { end, said, text } = await metered(t, { dir: '/spool', ...collectorOf(collector) }, { disk, timers });
  end('acme', 2);
  await isTold(collector, 2);
  disk.refuse = (call) => {
    if (call === 'rename') throw Object.assign(new Error('EROFS'), { code: 'EROFS' });
  };
  collector.say({ kind: 'fence', reason: 'it was copied' });
  await reaches(() => said.some(({ event }) => event === 'metering.not_put_aside'), true);
  end('acme', 4);
  await new Promise(setImmediate);
  t.match(await text(), /reeve_meter_lost_records_total 0\n/);
  t.match(await text(), /reeve_meter_unacked_records [4-6]\n/);
  t.match(await text(), /reeve_meter_connected 0\n/);
  t.equal(collector.records().length, 2);
  disk.refuse = undefined;
  again?.();
  t.ok(said.some(({ event }) => event === 'metering.spool_begun'));
  t.ok([...disk.files.keys()].some((path) => path.startsWith('/spool.fenced-')));
  end('globex', 1);
  t.ok(await reaches(() => collector.records().at(-1)?.tenant, 'globex'));
});

t.test('fenced beside a directory of the same name: it is put aside under the next', async (t) => {
  const dir = join(tempDir(t), 'spool');
  const collector = await grpcCollector(t);
  const { end, said } = await metered(t, { dir, ...collectorOf(collector) });
  end('acme', 2);
  await isTold(collector, 2);
  const aside = `${dir}.fenced-${(collector.heard[0] as { spoolId: string }).spoolId.slice(0, 8)}`;
  mkdirSync(aside);
  writeFileSync(join(aside, 'of-another-time'), '');
  collector.say({ kind: 'fence', reason: 'it was copied' });
  await reaches(() => said.some(({ event }) => event === 'metering.spool_begun'), true);
  t.strictSame(fencedBeside(dir), [aside, `${aside}-2`]);
  end('globex', 1);
  t.ok(await reaches(() => collector.records().at(-1)?.tenant, 'globex'));
});

t.test('a full disk: by policy records become a gap, or requests are refused, until there is room', async (t) => {
  for (const onFull of ['failOpen', 'failClosed'] as const) {
    const disk = new MemoryDisk();
    const collector = await grpcCollector(t);
    const { end, said, text, metering } = await metered(
      t,
      { dir: '/spool', onFull, ...collectorOf(collector) },
      { disk },
    );
    const ask = () => answerTo(metering);
    end('acme', 1);
    await isTold(collector, 1);
    t.equal(ask(), undefined);
    disk.refuse = (call) => {
      if (call === 'write') throw Object.assign(new Error('ENOSPC'), { code: 'ENOSPC' });
    };
    end('acme', 2);
    await reaches(() => said.filter(({ event }) => event === 'metering.records_lost').length, 1);
    end('acme', 1);
    if (onFull === 'failOpen') t.equal(ask(), undefined);
    else t.match(ask(), { code: 'temporary-reduced-capacity' });
    t.match(await text(), /reeve_meter_ladder\{step="full"\} 1/);
    disk.refuse = undefined;
    // With a record it is seen at once, without one within a second.
    if (onFull === 'failOpen') end('acme', 1);
    await reaches(() => said.some(({ event }) => event === 'metering.recorded_again'), true);
    t.equal(ask(), undefined);
    if (onFull === 'failClosed') end('acme', 1);
    await reaches(
      () => collector.collector.ledger.map(({ kind, seqTo }) => `${kind} ${seqTo}`).join(),
      'batch 1,gap 4,batch 5',
    );
    t.match(collector.collector.ledger[1], { reason: 'full' });
    t.equal(said.filter(({ event }) => event === 'metering.records_lost').length, 1, 'said once');
    await metering.close();
  }
});

t.test('a spool that fills is folded, and what is told of it then is told folded', async (t) => {
  const dir = join(tempDir(t), 'spool');
  const first = await metered(t, { dir, maxBytes: 2 ** 20 });
  for (let i = 0; i < 200; i++) {
    first.end(`t${i % 7}`, 300);
    await new Promise(setImmediate);
  }
  await reaches(() => first.said.some(({ event }) => event === 'metering.folded'), true);
  t.match(await first.text(), /reeve_meter_folded_segments_total [1-9]/);
  await first.metering.close();
  const collector = await grpcCollector(t);
  await metered(t, { dir, maxBytes: 2 ** 20, ...collectorOf(collector) });
  await reaches(() => collector.collector.mark.seq, 60_000);
  t.ok(collector.collector.ledger.some((each) => each.kind === 'batch' && each.isFolded));
  t.ok(recordsOf(collector.collector).length < 60_000);
});

t.test('a spool that is copied, and both are used: the second one is fenced, and begins one of its own', async (t) => {
  const dir = tempDir(t);
  const collector = await grpcCollector(t);
  const original = await metered(t, { dir: join(dir, 'a'), ...collectorOf(collector) });
  original.end('acme', 3);
  await isTold(collector, 3);
  await original.metering.close();
  cpSync(join(dir, 'a'), join(dir, 'b'), { recursive: true });
  const first = await metered(t, { dir: join(dir, 'a'), ...collectorOf(collector) });
  first.end('acme', 1);
  await isTold(collector, 4);
  const copy = await metered(t, { dir: join(dir, 'b'), ...collectorOf(collector) });
  await reaches(() => copy.said.some(({ event }) => event === 'metering.fenced'), true);
  t.equal(fencedBeside(join(dir, 'b')).length, 1);
  copy.end('globex', 1);
  await reaches(() => collector.records().at(-1)?.tenant, 'globex');
  t.strictSame(
    collector.records().map(({ tenant }) => tenant),
    ['globex'],
    'and what the copy had is not told again',
  );
});

t.test('a spool that was cut short: what is whole is told, and what was cut off is said', async (t) => {
  const dir = join(tempDir(t), 'spool');
  const first = await metered(t, { dir });
  for (let i = 0; i < 3; i++) {
    first.end('acme', 2);
    await new Promise(setImmediate);
  }
  await first.metering.close();
  const path = join(dir, '000000000001.wal');
  // The end that its close wrote, and a part of the last block.
  truncateSync(path, statSync(path).size - 29 - 5);
  const collector = await grpcCollector(t);
  const second = await metered(t, { dir, ...collectorOf(collector) });
  second.end('globex', 1);
  await reaches(() => collector.records().at(-1)?.tenant, 'globex');
  t.equal(collector.records().length, 5);
  t.match(
    second.said.find(({ event }) => event === 'metering.spool_damaged'),
    { what: 'torn tail' },
  );
  t.match(await second.text(), /reeve_meter_damages_total [1-9]/);
});

t.test('a spool that is removed and cannot be synced any more is let go of, and a new one begun', async (t) => {
  const disk = new MemoryDisk();
  const { end, said, text } = await metered(t, { dir: '/spool', durability: 'os' }, { disk });
  end('acme', 2);
  await new Promise(setImmediate);
  disk.files.clear();
  disk.refuse = (call) => {
    if (call === 'sync') throw Object.assign(new Error('EIO'), { code: 'EIO' });
  };
  await reaches(() => said.some(({ event }) => event === 'metering.no_spool'), true);
  t.match(await text(), /reeve_meter_sync_failures_total [1-9]/);
  disk.refuse = undefined;
  await reaches(() => said.some(({ event }) => event === 'metering.spool_begun'), true);
  end('acme', 3);
  await new Promise(setImmediate);
  t.match(await text(), /reeve_meter_unacked_records 3\n/);
  t.equal(said.filter(({ event }) => event === 'metering.no_spool').length, 1, 'said once');
});

t.test('a spool that is removed while it is used: it is said, and a new one is begun and told', async (t) => {
  const dir = join(tempDir(t), 'spool');
  const collector = await grpcCollector(t);
  const { end, said } = await metered(t, { dir, ...collectorOf(collector) });
  end('acme', 2);
  await isTold(collector, 2);
  rmSync(dir, { recursive: true });
  await reaches(() => said.some(({ event }) => event === 'metering.spool_missing'), true);
  end('globex', 1);
  await reaches(() => collector.records().at(-1)?.tenant, 'globex');
});

t.test('a disk that became read-only: records are lost into a gap, what stands is told', async (t) => {
  const disk = new MemoryDisk();
  const first = await metered(t, { dir: '/spool' }, { disk });
  first.end('acme', 3);
  await first.metering.close();
  disk.refuse = (call) => {
    if (call !== 'read') throw Object.assign(new Error('EROFS'), { code: 'EROFS' });
  };
  await t.rejects(metered(t, { dir: '/spool' }, { disk }), { code: 'log-unusable' }, 'at the start it is refused');
  disk.refuse = undefined;
  const collector = await grpcCollector(t);
  const second = await metered(t, { dir: '/spool', ...collectorOf(collector) }, { disk });
  disk.refuse = (call) => {
    if (call === 'write' || call === 'sync' || call === 'remove')
      throw Object.assign(new Error('EROFS'), { code: 'EROFS' });
  };
  second.end('acme', 2);
  await isTold(collector, 3);
  t.match(await second.text(), /reeve_meter_lost_records_total 2\n/);
  disk.refuse = undefined;
});

t.test(
  'a disk that is full at the start: by policy records become a gap, or requests are refused, until there is room',
  async (t) => {
    for (const onFull of ['failOpen', 'failClosed'] as const) {
      const disk = new MemoryDisk();
      const first = await metered(t, { dir: '/spool' }, { disk });
      first.end('acme', 3);
      await first.metering.close();
      disk.refuse = (call) => {
        if (call === 'write') throw Object.assign(new Error('ENOSPC'), { code: 'ENOSPC' });
      };
      const collector = await grpcCollector(t);
      const { end, said, text, metering } = await metered(
        t,
        { dir: '/spool', onFull, ...collectorOf(collector) },
        { disk },
      );
      const ask = () => answerTo(metering);
      t.match(said, [{ event: 'metering.no_spool', cause: /ENOSPC/ }]);
      if (onFull === 'failOpen') t.equal(ask(), undefined);
      else t.match(ask(), { code: 'temporary-reduced-capacity' });
      end('acme', 2);
      t.equal(metering.report('acme', [{ meter: 'tokens', units: 1 }]), false);
      t.match(await text(), /reeve_meter_lost_records_total 3\n/);
      t.match(await text(), /reeve_meter_ladder\{step="full"\} 1/);
      disk.refuse = undefined;
      // What the earlier life kept is told, and what this one could not keep is a gap, also if nothing more comes.
      await reaches(
        () => collector.collector.ledger.map(({ kind, seqTo }) => `${kind} ${seqTo}`).join(),
        'batch 3,gap 3',
      );
      t.match(collector.collector.ledger[1], { reason: 'full' });
      t.equal(ask(), undefined);
      t.ok(said.some(({ event }) => event === 'metering.recorded_again'));
      end('acme', 1);
      t.ok(await isTold(collector, 4));
      await metering.close();
    }
  },
);

t.test('a sidecar that ends before its disk had room for a spool ends well', async (t) => {
  const disk = new MemoryDisk();
  disk.refuse = (call) => {
    if (call === 'open') throw Object.assign(new Error('EIO'), { code: 'EIO' });
  };
  const { end, metering } = await metered(t, { dir: '/spool' }, { disk });
  end('acme', 1);
  await metering.drain(10);
  await metering.close();
  t.equal(disk.files.size, 0);
});

t.test('a directory that cannot be used is said at the start', async (t) => {
  const dir = tempDir(t);
  writeFileSync(join(dir, 'file'), '');
  await t.rejects(metered(t, { dir: join(dir, 'file') }), { code: 'log-unusable', place: join(dir, 'file') });
});

t.test('a spool that another process took: nothing is written there, records are lost, until it is gone', async (t) => {
  const dir = join(tempDir(t), 'spool');
  const collector = await grpcCollector(t);
  const { end, said, text, metering } = await metered(t, { dir, ...collectorOf(collector) });
  end('acme', 2);
  await isTold(collector, 2);
  await t.rejects(metered(t, { dir }), { code: 'log-in-use', place: dir });
  const beat = `${dir}.beat`;
  const files = () =>
    readdirSync(dir)
      .filter((name) => name !== 'lock')
      .map((name) => [name, statSync(join(dir, name)).size]);
  const before = files();
  writeFileSync(beat, readFileSync(beat, 'latin1').replace(/^.{16}/, 'f'.repeat(16)));
  t.ok(await reaches(() => said.some(({ event }) => event === 'metering.spool_taken'), true));
  end('acme', 3);
  await new Promise((resolve) => setTimeout(resolve, 250));
  t.match(await text(), /reeve_meter_lost_records_total 3\n/);
  t.strictSame(files(), before);
  rmSync(beat);
  t.ok(await reaches(() => said.some(({ event }) => event === 'metering.spool_begun'), true));
  end('acme', 1);
  await reaches(() => collector.records().length, 3);
  t.match(collector.collector.ledger.at(-2), { kind: 'gap', seqTo: 3, reason: 'full' });
  await metering.close();
  t.notOk(existsSync(beat));
});
