/** The thread that reads the files: what becomes of it, and of those who wait for it. */
import { enableCompileCache } from 'node:module';
import { join } from 'node:path';
import t from 'tap';
import { systemClock, systemTimers } from '../../src/core/index.ts';
import { createLog, createMetrics, silentLog } from '../../src/telemetry/index.ts';
import { LoaderThread, openTenancy } from '../../src/tenants/index.ts';
import { Loader, type Look } from '../../src/tenants/loader.ts';
import { makeTenancy, plan, tenant } from '../helpers/tenancy.ts';

/** Small on disk; its documents and their problems do not fit into 40 MB. */
const MANY = 'a\n---\n'.repeat(60_000);

const facts = (dir: string) => ({ dir, stateDir: undefined, allowShrink: false, removeGraceMs: 20 });

t.test('a thread that runs out of memory costs no tenant: it is started again, and said so', async (t) => {
  const dir = makeTenancy();
  const lines: string[] = [];
  const metrics = createMetrics({ timers: systemTimers });
  const tenancy = await openTenancy({
    ...facts(dir.dir),
    clock: systemClock,
    timers: { ...systemTimers, after: (ms, run) => systemTimers.after(ms === 1000 ? 20 : ms, run) },
    log: createLog({ clock: systemClock, level: 'info', write: (line) => void lines.push(line) }),
    metrics,
    loaderHeapMb: 40,
  });
  t.teardown(async () => {
    await tenancy.close();
    dir.cleanUp();
  });
  const index = tenancy.snapshot.tenants.get('globex')?.index;
  dir.write('many.yaml', MANY);
  await tenancy.refresh();
  while (!lines.some((line) => line.includes('config.loader_ended'))) await systemTimers.sleep(10);
  t.equal(tenancy.snapshot.tenants.size, 2, 'what is in force stays');
  dir.remove('many.yaml');
  dir.write('tenants.yaml', tenant('acme', { state: 'suspended' }) + tenant('globex'));
  while (tenancy.snapshot.tenants.get('acme')?.state !== 'suspended') await systemTimers.sleep(10);
  t.equal(tenancy.snapshot.tenants.get('globex')?.index, index, 'indices are stable');
  let text = '';
  for await (const chunk of metrics.exposition()) text += chunk;
  t.match(text, /^reeve_config_loader_restarts_total [1-9]/m);
});

t.test('a change that cannot be put in force is tried again by a new thread, and ends nothing', async (t) => {
  const dir = makeTenancy();
  const lines: string[] = [];
  let failures = 1;
  const tenancy = await openTenancy({
    ...facts(dir.dir),
    clock: systemClock,
    timers: { ...systemTimers, after: (ms, run) => systemTimers.after(ms === 1000 ? 20 : ms, run) },
    log: createLog({ clock: systemClock, level: 'info', write: (line) => void lines.push(line) }),
    metrics: createMetrics({ timers: systemTimers }),
    prepare: async ({ generation }) => {
      if (generation > 1 && failures-- > 0) throw new Error('a defect');
    },
  });
  t.teardown(async () => {
    await tenancy.close();
    dir.cleanUp();
  });
  dir.write('tenants.yaml', tenant('acme', { state: 'suspended' }) + tenant('globex'));
  while (tenancy.snapshot.tenants.get('acme')?.state !== 'suspended') await systemTimers.sleep(10);
  t.match(lines.join(''), /config\.loader_ended.*a defect/);
});

t.test('a thread that cannot run at all is an error with a remedy', async (t) => {
  const dir = makeTenancy({ 'many.yaml': MANY });
  t.teardown(() => dir.cleanUp());
  await t.rejects(
    openTenancy({
      ...facts(dir.dir),
      clock: systemClock,
      timers: systemTimers,
      log: createLog({ clock: systemClock, level: 'error', write: () => {} }),
      metrics: createMetrics({ timers: systemTimers }),
      loaderHeapMb: 40,
    }),
    { code: 'config-loader-failed' },
  );
});

t.test('a thread that was started before anybody listens keeps what it found until then', async (t) => {
  const dir = makeTenancy();
  const cache = join(dir.stateDir, 'cache');
  // As the command does: compiled code is kept, and threads use it too.
  enableCompileCache(cache);
  const loader = new LoaderThread({ ...facts(dir.dir), timers: systemTimers });
  t.teardown(async () => {
    await loader.close();
    dir.cleanUp();
  });
  // Nothing tells that it has found the files: that is the point.
  await systemTimers.sleep(2500);
  await using tenancy = await openTenancy({
    ...facts(dir.dir),
    loader,
    clock: systemClock,
    timers: systemTimers,
    log: silentLog,
    metrics: createMetrics({ timers: systemTimers }),
  });
  t.equal(tenancy.snapshot.tenants.size, 2);
});

t.test('a loader looks once more for all who ask during a look, and not after it is closed', async (t) => {
  const dir = makeTenancy();
  t.teardown(() => dir.cleanUp());
  const looks: Look[] = [];
  await using loader = new Loader(facts(dir.dir), {
    clock: systemClock,
    timers: systemTimers,
    publish: async (look) => void looks.push(look),
    warn: () => {},
  });
  await loader.start();
  t.equal(looks.length, 1);
  dir.write('plans.yaml', plan('free', { weight: 3 }));
  await Promise.all([loader.look(), loader.look(), loader.look()]);
  t.equal(looks.length, 2);
  await loader.close();
  await loader.look();
  await loader.close();
  t.equal(looks.length, 2);
});
