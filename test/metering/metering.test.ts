/** Metering as a whole, on a real disk and over real gRPC: what a stage recorded is in the collector's ledger, once, whatever happens between. */
import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ServerCredentials } from '@grpc/grpc-js';
import t from 'tap';
import { systemClock, systemRandom, systemTimers } from '../../src/core/index.ts';
import { inspectSpool, type Metering, type MeteringOptions, openMetering } from '../../src/metering/index.ts';
import type { Identified } from '../../src/pipeline/index.ts';
import { createLog, createMetrics, type Metrics } from '../../src/telemetry/index.ts';
import type { MeteringConfig, Tenant } from '../../src/tenants/index.ts';
import { becomes } from '../helpers/processes.ts';
import type { Ending } from '../helpers/sidecar.ts';
import { exchangeForTest } from '../pipeline/exchange-for-test.ts';
import { type GrpcCollector, grpcCollector, recordsOf } from './grpc-collector.ts';
import { MemoryDisk } from './memory-disk.ts';

interface Metered {
  readonly metering: Metering;
  readonly metrics: Metrics;
  /** Events of the log. */
  readonly said: Record<string, unknown>[];
  /** Requests that end now. */
  end(tenant: string, requests?: number): void;
  text(): Promise<string>;
}

/** Whether it is that within 5 s. */
const reaches = <T>(read: () => T, value: T): Promise<boolean> => becomes(() => read() === value);

function tempDir(t: Ending): string {
  const dir = mkdtempSync(join(tmpdir(), 'reeve-spool-'));
  t.teardown(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
}

async function metered(
  t: Ending,
  config: Partial<MeteringConfig>,
  more: Partial<MeteringOptions> = {},
): Promise<Metered> {
  const said: Record<string, unknown>[] = [];
  const log = createLog({ clock: systemClock, level: 'info', write: (line) => said.push(JSON.parse(line)) });
  const metrics = createMetrics({ timers: systemTimers });
  const metering = await openMetering({
    ...{
      clock: systemClock,
      timers: systemTimers,
      random: systemRandom,
      log,
      metrics,
      service: 'orders',
      instance: 'pod 1',
    },
    config: {
      ...{
        dir: '',
        collector: undefined,
        durability: 'interval',
        granularity: 'raw',
        maxBytes: 2 ** 30,
        onFull: 'failOpen',
      },
      traceIds: false,
      ...config,
    },
    ...more,
  });
  t.teardown(() => metering.close());
  return {
    metering,
    metrics,
    said,
    end(tenant, requests = 1) {
      for (let i = 0; i < requests; i++) {
        const x = exchangeForTest({ acceptedAt: systemClock.now() });
        x.tenant = { id: tenant } as Tenant;
        metering.filter.onDone?.(x as Identified, { kind: 'forwarded', status: 200 });
      }
    },
    async text() {
      let text = '';
      for await (const chunk of metrics.exposition()) text += chunk;
      return text;
    },
  };
}

const collectorOf = ({ address }: { readonly address: string }): Partial<MeteringConfig> => ({
  collector: { address, tls: undefined, tokenFile: undefined },
});

const isTold = (collector: GrpcCollector, records: number) => reaches(() => collector.records().length, records);

t.test('each request that ended is in the ledger, with what it used', async (t) => {
  const collector = await grpcCollector(t);
  const dir = join(tempDir(t), 'spool');
  const { metering, end, text } = await metered(t, { dir, ...collectorOf(collector) });
  end('acme', 3);
  end('globex', 2);
  t.ok(metering.report('acme', [{ meter: 'tokens', units: 812 }]));
  await isTold(collector, 6);
  t.strictSame(
    collector.records().map(({ tenant, outcome, statusClass }) => [tenant, outcome, statusClass]),
    [...Array(3).fill(['acme', 'ok', 2]), ...Array(2).fill(['globex', 'ok', 2]), ['acme', 'reported', 0]],
  );
  t.strictSame(collector.records()[5]?.units, [{ meter: 'tokens', units: 812 }]);
  t.match(collector.heard[0], { kind: 'hello', service: 'orders', instance: 'pod-1', epoch: 1 });
  t.ok(metering.report('acme', []), 'nothing is no record');
  const metrics = await text();
  for (const line of [
    'reeve_meter_records_total{outcome="ok"} 5',
    'reeve_meter_records_total{outcome="reported"} 1',
    'reeve_meter_unacked_records 0',
    'reeve_meter_unacked_age_seconds 0',
    'reeve_meter_connected 1',
    'reeve_meter_ladder{step="single"} 1',
  ])
    t.ok(metrics.includes(line), line);
});

t.test('at the end the rest is told, and bye is said', async (t) => {
  const collector = await grpcCollector(t);
  const { metering, end, said } = await metered(t, { dir: join(tempDir(t), 'spool'), ...collectorOf(collector) });
  end('acme', 100);
  await metering.drain(5000);
  t.equal(collector.records().length, 100);
  t.equal(collector.collector.byes, 1);
  t.match(said.at(-1), { event: 'metering.told' });
  await metering.close();
  await metering[Symbol.asyncDispose]();
});

t.test('a collector that is away: the spool keeps it, the next life tells it, once', async (t) => {
  const dir = join(tempDir(t), 'spool');
  const first = await metered(t, { dir, ...collectorOf({ address: '127.0.0.1:9' }) });
  first.end('acme', 5);
  await reaches(() => first.said.some(({ event }) => event === 'metering.collector_away'), true);
  t.match(await first.text(), /reeve_meter_unacked_records 5\n/);
  await first.metering.drain(2000);
  t.match(first.said.at(-1), { event: 'metering.not_all_told', records: 5 });
  await first.metering.close();
  const collector = await grpcCollector(t);
  const second = await metered(t, { dir, ...collectorOf(collector) });
  second.end('globex', 2);
  await isTold(collector, 7);
  t.strictSame(
    collector.collector.ledger.map(({ epoch, seqTo }) => `${epoch}:${seqTo}`),
    ['1:5', '2:2'],
  );
});

t.test('a stream that is cut, again and again, loses and doubles nothing', async (t) => {
  const collector = await grpcCollector(t);
  const { end, text } = await metered(t, { dir: join(tempDir(t), 'spool'), ...collectorOf(collector) });
  for (let i = 1; i <= 4; i++) {
    end(`t${i}`, i);
    await reaches(
      () => collector.heard.some((each) => each.kind === 'batch' && each.seqTo === (i * (i + 1)) / 2),
      true,
    );
    collector.end();
  }
  await isTold(collector, 10);
  t.strictSame(
    collector
      .records()
      .map(({ tenant }) => tenant)
      .sort(),
    ['t1', 't2', 't2', 't3', 't3', 't3', 't4', 't4', 't4', 't4'],
  );
  t.match(await text(), /reeve_meter_failures_total [1-9]/);
});

t.test('a token is sent and read again by each connection; a file that is not there is said', async (t) => {
  const dir = tempDir(t);
  const tokenFile = join(dir, 'token');
  const collector = await grpcCollector(t);
  const { address } = collector;
  const { said, end } = await metered(t, {
    dir: join(dir, 'spool'),
    collector: { address, tls: undefined, tokenFile },
  });
  await reaches(() => said.some(({ why }) => /ENOENT/.test(String(why))), true);
  writeFileSync(tokenFile, 'first\n');
  await reaches(() => collector.authorizations[0], 'Bearer first');
  writeFileSync(tokenFile, 'second\n');
  end('acme');
  await isTold(collector, 1);
  collector.end();
  await reaches(() => collector.authorizations[1], 'Bearer second');
});

/** A certificate of 127.0.0.1 that vouches for itself. */
function certificate(dir: string): { readonly caFile: string; readonly keyFile: string } {
  const [caFile, keyFile] = [join(dir, 'cert.pem'), join(dir, 'key.pem')];
  const kind = ['-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '1'];
  const name = ['-subj', '/CN=127.0.0.1', '-addext', 'subjectAltName=IP:127.0.0.1'];
  spawnSync('openssl', ['req', ...kind, ...name, '-keyout', keyFile, '-out', caFile]);
  return { caFile, keyFile };
}

t.test('over TLS: who does not prove its name is told nothing, and a sidecar can prove its own', async (t) => {
  const dir = tempDir(t);
  const { caFile, keyFile } = certificate(dir);
  const pair = { private_key: readFileSync(keyFile), cert_chain: readFileSync(caFile) };
  const credentials = ServerCredentials.createSsl(readFileSync(caFile), [pair], true);
  const collector = await grpcCollector(t, { credentials });
  const { address } = collector;
  const open = (tls: NonNullable<MeteringConfig['collector']>['tls'], name: string) =>
    metered(t, { dir: join(dir, name), collector: { address, tls, tokenFile: undefined } });
  const stranger = await open({ caFile: undefined, certFile: caFile, keyFile }, 'a');
  const nameless = await open({ caFile, certFile: undefined, keyFile: undefined }, 'b');
  for (const { said, end } of [stranger, nameless]) {
    end('globex');
    await reaches(() => said.some(({ event }) => event === 'metering.collector_away'), true);
  }
  const good = await open({ caFile, certFile: caFile, keyFile }, 'c');
  good.end('acme');
  await isTold(collector, 1);
  t.strictSame(
    collector.records().map(({ tenant }) => tenant),
    ['acme'],
  );
});

t.test('a message that this version does not know is passed over', async (t) => {
  const collector = await grpcCollector(t);
  const { end } = await metered(t, { dir: join(tempDir(t), 'spool'), ...collectorOf(collector) });
  await reaches(() => collector.heard.length, 1);
  collector.sayNothing();
  end('acme');
  await isTold(collector, 1);
});

t.test('a refusal is heard and said', async (t) => {
  const collector = await grpcCollector(t);
  const { said } = await metered(t, { dir: join(tempDir(t), 'spool'), ...collectorOf(collector) });
  await reaches(() => collector.heard.length, 1);
  collector.say({ kind: 'nack', reason: 'the ledger is full' });
  await reaches(() => said.some(({ why }) => why === 'refused: the ledger is full'), true);
});

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
  t.strictSame(inspectSpool(dir).fenced, [`${dir}.fenced-${id.slice(0, 8)}`]);
  t.match(await text(), /reeve_meter_fences_total 1\n/);
  collector.say({ kind: 'fence', reason: 'once more' });
  await reaches(() => said.some(({ event }) => event === 'metering.fenced_again'), true);
  t.equal(inspectSpool(dir).fenced.length, 1, 'not a spool after the other');
  end('globex', 1);
  await metering.close();
});

t.test('fenced where the files cannot be put aside: it is said, and records are counted as lost', async (t) => {
  const disk = new MemoryDisk();
  const collector = await grpcCollector(t);
  const { end, said, text } = await metered(t, { dir: '/spool', ...collectorOf(collector) }, { disk });
  end('acme', 2);
  await isTold(collector, 2);
  disk.refuse = (call) => {
    if (call === 'rename') throw Object.assign(new Error('EROFS'), { code: 'EROFS' });
  };
  collector.say({ kind: 'fence', reason: 'it was copied' });
  await reaches(() => said.some(({ event }) => event === 'metering.no_spool'), true);
  end('acme', 4);
  await reaches(() => said.some(({ event }) => event === 'metering.records_lost'), true);
  t.match(await text(), /reeve_meter_lost_records_total 4\n/);
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
    const ask = () => {
      const x = exchangeForTest();
      x.tenant = { id: 'acme' } as Tenant;
      return metering.filter.onRequest?.(x as Identified);
    };
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

t.test(
  'a spool without a collector keeps what it can; syncs that fail and files that cannot be removed are said',
  async (t) => {
    const disk = new MemoryDisk();
    const alone = await metered(t, { dir: '/spool', durability: 'os' }, { disk });
    alone.end('acme', 3);
    await alone.metering.drain(1000);
    const metrics = await alone.text();
    t.match(metrics, /reeve_meter_unacked_records 3\n/);
    t.match(metrics, /reeve_meter_connected 0\n/);
    await alone.metering.close();
    const collector = await grpcCollector(t);
    disk.refuse = (call) => {
      if (call === 'remove') throw Object.assign(new Error('EROFS'), { code: 'EROFS' });
    };
    const second = await metered(t, { dir: '/spool', ...collectorOf(collector) }, { disk });
    await isTold(collector, 3);
    await reaches(() => second.said.some(({ event }) => event === 'metering.not_removed'), true);
    disk.refuse = (call) => {
      if (call === 'sync') throw Object.assign(new Error('EIO'), { code: 'EIO' });
    };
    second.end('acme');
    await reaches(() => second.said.filter(({ event }) => event === 'metering.not_synced').length, 1);
    t.match(await second.text(), /reeve_meter_sync_failures_total [1-9]/);
    disk.refuse = undefined;
  },
);

t.test('strict: what is held goes on once it is on the medium', async (t) => {
  const disk = new MemoryDisk();
  disk.isSlow = true;
  const { metering, end } = await metered(t, { dir: '/spool', durability: 'strict' }, { disk });
  end('acme');
  let isReleased = false;
  t.equal(metering.commits.hold({ release: () => void (isReleased = true) }), true);
  await new Promise(setImmediate);
  await new Promise(setImmediate);
  t.notOk(isReleased);
  disk.finishSyncs();
  await reaches(() => isReleased, true);
});

t.test('granularity window: exact sums of each second', async (t) => {
  const collector = await grpcCollector(t);
  const { end } = await metered(t, {
    dir: join(tempDir(t), 'spool'),
    granularity: 'window',
    ...collectorOf(collector),
  });
  end('acme', 500);
  await reaches(() => collector.collector.mark.seq, 500);
  t.match(collector.collector.ledger, [{ isFolded: true }]);
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
  t.equal(inspectSpool(join(dir, 'b')).fenced.length, 1);
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
  truncateSync(path, statSync(path).size - 5);
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

t.test('a directory that cannot be used is said at the start', async (t) => {
  const dir = tempDir(t);
  writeFileSync(join(dir, 'file'), '');
  await t.rejects(metered(t, { dir: join(dir, 'file') }), { code: 'log-unusable', place: join(dir, 'file') });
});
