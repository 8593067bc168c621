/** Metering as a whole, on a real disk and over real gRPC: what a stage recorded is in the collector's ledger, once, whatever happens between. */
import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { zstdDecompressSync } from 'node:zlib';
import { ServerCredentials } from '@grpc/grpc-js';
import t from 'tap';
import { systemClock } from '../../src/core/index.ts';
import { readRuns, readWindows } from '../../src/metering/index.ts';
import type { Identified } from '../../src/pipeline/index.ts';
import type { MeteringConfig, Tenant } from '../../src/tenants/index.ts';
import { exchangeForTest } from '../pipeline/exchange-for-test.ts';
import { grpcCollector } from './grpc-collector.ts';
import { MemoryDisk } from './memory-disk.ts';
import { collectorOf, isTold, metered, reaches, tempDir } from './metered.ts';

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
  t.match(metering.status(), { isConnected: true, why: null, unackedRecords: 0, step: 'single', dir, fences: 0 });
});

t.test('units beyond what a use can have are told as that, and it is said', async (t) => {
  const collector = await grpcCollector(t);
  const { metering, said } = await metered(t, { dir: join(tempDir(t), 'spool'), ...collectorOf(collector) });
  t.ok(metering.report('acme', [{ meter: 'seats', units: -2e15 }]));
  t.ok(metering.report('acme', [{ meter: 'seats', units: 2e15 }]));
  await isTold(collector, 2);
  t.strictSame(
    collector.records().map(({ units }) => units),
    [[{ meter: 'seats', units: -1e15 }], [{ meter: 'seats', units: 1e15 }]],
  );
  t.match(
    said.filter(({ event }) => event === 'metering.units_cut'),
    [{ tenant: 'acme', meter: 'seats', units: -2e15 }],
  );
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

const noOpenssl = spawnSync('openssl', ['version']).status !== 0 && 'openssl is missing';

t.test(
  'over TLS: who does not prove its name is told nothing, and a sidecar can prove its own',
  { skip: noOpenssl },
  async (t) => {
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
  },
);

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

t.test('what goes on for long is told before its end, in both forms', async (t) => {
  for (const granularity of ['raw', 'window'] as const) {
    const collector = await grpcCollector(t);
    const dir = join(tempDir(t), 'spool');
    const { metering, text } = await metered(t, { dir, granularity, streamEveryMs: 1, ...collectorOf(collector) });
    const x = exchangeForTest({ acceptedAt: systemClock.now() }) as Identified;
    x.tenant = { id: 'acme' } as Tenant;
    metering.filter.onRequest?.(x);
    x.responseBytes = 1000;
    await reaches(() => collector.collector.mark.seq > 1, true);
    x.responseBytes = 1500;
    metering.filter.onDone?.(x, { kind: 'forwarded', status: 200 });
    await metering.drain(5000);
    const parts = Number(/reeve_meter_parts_total (\d+)/.exec(await text())?.[1]);
    t.ok(parts >= 2);
    t.match(await text(), /reeve_meter_records_total\{outcome="ok"\} 1\n/);
    const told = { seq: collector.collector.mark.seq, bytes: 0, requests: 0 };
    for (const each of collector.collector.ledger) {
      if (each.kind === 'gap') continue;
      const payload = zstdDecompressSync(each.payload);
      if (each.isFolded)
        readWindows(payload, (_windowMs, _series, { count, bytesOut }) => {
          told.requests += count;
          told.bytes += bytesOut;
          return true;
        });
      else
        readRuns(payload, ({ isPart, bytesOut }) => {
          if (!isPart) told.requests++;
          told.bytes += bytesOut;
          return true;
        });
    }
    t.same(told, { seq: parts + 1, bytes: 1500, requests: 1 }, granularity);
  }
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
