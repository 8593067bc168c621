import { crc32, zstdCompressSync } from 'node:zlib';
import t from 'tap';
import { Sums } from '../../src/collector/sums.ts';
import { TenantTotals } from '../../src/collector/tenant-totals.ts';
import { readSeries, readWindows } from '../../src/metering/index.ts';
import { runOf, T0, usage, windowsOf } from './told.ts';

t.test(
  '10,000 tenants are written in slices that hold the loop for a moment only, and those beyond the bound share a row',
  async (t) => {
    const totals = new TenantTotals();
    for (let i = 0; i < 51; i++)
      totals.add(windowsOf(Array.from({ length: 1000 }, (_, j) => usage({ tenant: `t${i}-${j}` }))));
    totals.add(
      windowsOf(
        Array.from({ length: 40 }, (_, i) => usage({ tenant: 'a"b\\', units: [{ meter: `m${i}`, units: 1 }] })),
      ),
    );
    let slowest = 0;
    let lines = 0;
    let text = '';
    let began = performance.now();
    for await (const chunk of totals.exposition('text')) {
      slowest = Math.max(slowest, performance.now() - began);
      lines += chunk.split('\n').length - 1;
      text += chunk;
      began = performance.now();
    }
    t.ok(lines > 250_000, `${lines} lines`);
    t.match(text, /^reeve_tenant_usage_total\{tenant="__other__",meter="requests"\} 1040$/m);
    t.match(text, /tenant="__other__",meter="__other__"\} 8/);
    t.comment(`figure: the longest slice of 50,000 tenants took ${slowest.toFixed(1)} ms`);
  },
);

t.test(
  'sums: runs and windows of several services, of times that cannot be, and more than there is room for',
  async (t) => {
    const handed = new Map<string, number>();
    const seen = new Set<number>();
    const sums = new Sums((service, payload) => {
      readWindows(payload, (windowMs, series, { count }) => {
        if (readSeries(series).meter === '') handed.set(service, (handed.get(service) ?? 0) + count);
        seen.add(windowMs);
        return true;
      });
    });
    const entry = (payload: Buffer, count: number, service: string, isFolded: boolean) => ({
      kind: 'batch' as const,
      receivedMs: T0,
      spoolId: '00'.repeat(16),
      service,
      instance: '',
      epoch: 1,
      life: '00'.repeat(8),
      seqFrom: 1,
      seqTo: count,
      chainBefore: 0,
      chainAfter: 0,
      watermarkMs: T0,
      batch: { isFolded, crc: crc32(payload), bytes: payload.length, zstd: zstdCompressSync(payload) },
    });
    const many = Array.from({ length: 9000 }, (_, i) => usage({ tenant: `t${i}` }));
    sums.add(entry(runOf(many), 9000, 'orders', false));
    sums.add(entry(windowsOf(many), 9000, 'billing', true));
    sums.add(entry(runOf([usage({ wallMs: T0 + 9e9 }), usage({ wallMs: T0 - 9e10 })]), 2, 'orders', false));
    for (let i = 0; i < 300; i++) sums.add(entry(runOf([usage()]), 1, `s${i}`, false));
    sums.add({ ...entry(runOf([usage()]), 1, 'x', false), kind: 'bye' });
    sums.flush();
    t.equal(handed.get('orders'), 9002);
    t.equal(handed.get('billing'), 9000);
    t.equal(
      [...handed.values()].reduce((sum, each) => sum + each, 0),
      18_302,
    );
    t.equal(sums.outOfTime, 2);
    t.ok(seen.has(T0 + 3_600_000) && seen.has(T0 - 400 * 86_400_000), 'they count in the nearest window that can be');
    const broken = entry(runOf([usage()]), 1, 'x', false);
    t.throws(() => sums.add({ ...broken, batch: { ...broken.batch, crc: 1 } }), /cannot be read/);
  },
);
