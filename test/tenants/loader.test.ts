/** The thread that reads the files: what becomes of it, and of those who wait for it. */
import { enableCompileCache } from 'node:module';
import { join } from 'node:path';
import t from 'tap';
import { systemClock, systemTimers, type Timers } from '../../src/core/index.ts';
import { createLog, createMetrics } from '../../src/telemetry/index.ts';
import { LoaderThread, openTenancy } from '../../src/tenants/index.ts';
import { Loader, type Look } from '../../src/tenants/loader.ts';
import { ManualClock } from '../helpers/manual-clock.ts';
import { quietWorld } from '../helpers/quiet-world.ts';
import { document, makeTenancy, plan, tenant } from '../helpers/tenancy.ts';

/** Small on disk; its documents and their problems do not fit into 28 MB, with the hooks of the test runner in the thread or without. */
const MANY = 'a\n---\n'.repeat(100_000);

const facts = (dir: string) => ({ dir, stateDir: undefined, allowShrink: false, removeGraceMs: 20 });

t.test('a thread that runs out of memory costs no tenant: it is started again, and said so', async (t) => {
  const route = (name: string, path: string) => document('Route', name, { match: { path } });
  const dir = makeTenancy({ 'r.yaml': route('exact', '/a') + route('prefix', '/b/*') });
  const lines: string[] = [];
  const metrics = createMetrics({ timers: systemTimers });
  const tenancy = await openTenancy({
    ...facts(dir.dir),
    ...quietWorld(),
    timers: { ...systemTimers, after: (ms, run) => systemTimers.after(ms === 1000 ? 20 : ms, run) },
    log: createLog({ clock: systemClock, level: 'info', write: (line) => void lines.push(line) }),
    metrics,
    loaderHeapMb: 28,
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
  dir.write('plans.yaml', plan('free', { concurrency: 0 }));
  dir.write('tenants.yaml', tenant('acme', { state: 'suspended' }) + tenant('globex', { plan: 5 }));
  while (tenancy.snapshot.tenants.get('acme')?.state !== 'suspended') await systemTimers.sleep(10);
  t.equal(
    tenancy.snapshot.tenants.get('globex')?.index,
    index,
    'a broken document keeps its object, and indices are stable',
  );
  t.ok(tenancy.snapshot.plans.has('free'), 'so does a broken plan');
  t.equal(tenancy.snapshot.routes.length, 2);
  dir.write('plans.yaml', plan('free', { concurrency: 3 }));
  dir.write('tenants.yaml', tenant('acme'));
  while (tenancy.snapshot.tenants.size > 1) await systemTimers.sleep(10);
  t.equal(tenancy.snapshot.tenants.get('acme')?.allowance.concurrency, 3, 'what was removed is removed');
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
    ...quietWorld(),
    timers: { ...systemTimers, after: (ms, run) => systemTimers.after(ms === 1000 ? 20 : ms, run) },
    log: createLog({ clock: systemClock, level: 'info', write: (line) => void lines.push(line) }),
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
      ...quietWorld(),
      log: createLog({ clock: systemClock, level: 'error', write: () => {} }),
      loaderHeapMb: 28,
    }),
    { code: 'config-loader-failed' },
  );
});

t.test('a thread that nobody ever listened to ends at once', async (t) => {
  const dir = makeTenancy();
  t.teardown(() => dir.cleanUp());
  const loader = new LoaderThread({ ...facts(dir.dir), timers: systemTimers });
  const began = performance.now();
  await loader.close();
  t.ok(performance.now() - began < 2500, 'not after the time it is given to write');
});

t.test('a thread that ends in the middle of a change fails that change, and nothing else', async (t) => {
  const dir = makeTenancy();
  t.teardown(() => dir.cleanUp());
  const timers: Timers = { ...systemTimers, after: (ms, run) => systemTimers.after(ms === 5000 ? 10 : ms, run) };
  const loader = new LoaderThread({ ...facts(dir.dir), timers });
  const failed = new Promise((resolve) => {
    loader.connect({
      async found(_, parts) {
        await loader.close();
        await systemTimers.sleep(20);
        try {
          for await (const part of parts) t.fail(`a part of a thread that is gone: ${part.kind}`);
        } catch (cause) {
          resolve(cause);
          throw cause;
        }
      },
      warn: () => {},
      ended: () => {},
    });
  });
  t.match(await failed, { message: 'the loader ended in the middle of a change' });
});

t.test('a listener that throws is a line in the log; the others hear all the same', async (t) => {
  const dir = makeTenancy();
  const lines: string[] = [];
  const tenancy = await openTenancy({
    ...facts(dir.dir),
    ...quietWorld(),
    log: createLog({ clock: systemClock, level: 'info', write: (line) => void lines.push(line) }),
  });
  t.teardown(async () => {
    await tenancy.close();
    dir.cleanUp();
  });
  let heard = 0;
  tenancy.onSwap(() => {
    throw new Error('deaf');
  });
  tenancy.onSwap(() => heard++);
  dir.write('plans.yaml', plan('free', { weight: 3 }));
  await tenancy.refresh();
  t.equal(heard, 1);
  t.match(lines.join(''), /config\.listener_failed.*deaf/);
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
    ...quietWorld(),
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

t.test('a loader makes its heap small once it is quiet after the first look, and after many changes', async (t) => {
  const dir = makeTenancy();
  t.teardown(() => dir.cleanUp());
  const clock = new ManualClock();
  let shrinks = 0;
  await using loader = new Loader(facts(dir.dir), {
    clock,
    // Files are watched in the time of the world.
    timers: { ...systemTimers, after: (ms, run) => (ms === 100 ? clock.after(ms, run) : systemTimers.after(ms, run)) },
    publish: async ({ parts }) => void [...parts],
    warn: () => {},
    shrink: () => shrinks++,
  });
  await loader.start();
  clock.advance(99);
  await loader.look();
  clock.advance(99);
  t.equal(shrinks, 0, 'each look puts it off');
  clock.advance(1);
  t.equal(shrinks, 1);
  dir.write('plans.yaml', plan('free', { weight: 3 }));
  await loader.look();
  clock.advance(1000);
  t.equal(shrinks, 1, 'one change is not worth it');
  dir.write('more.yaml', Array.from({ length: 999 }, (_, i) => plan(`p${i}`)).join(''));
  await loader.look();
  clock.advance(100);
  t.equal(shrinks, 2, 'a thousand in all are');
  dir.write('more.yaml', Array.from({ length: 999 }, (_, i) => plan(`q${i}`)).join(''));
  await loader.look();
  await loader.close();
  clock.advance(100);
  t.equal(shrinks, 2, 'closed');
});
