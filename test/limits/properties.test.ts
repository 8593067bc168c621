import fc from 'fast-check';
import t from 'tap';
import { plan, tenant, world } from './world.ts';

const SEED = 42;

t.test('over any time no more is admitted than the limit and the burst allow', async (t) => {
  const w = await world(plan('free', { rate: { requests: { limit: '20/s', burst: 10 } }, degrade: ['reject'] }));
  let admitted = 0;
  const began = w.clock.now();
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 0, max: 50 }), { minLength: 50, maxLength: 50 }), (gaps) => {
      for (const gap of gaps) {
        w.clock.advance(gap);
        if (w.one('acme') !== 'quota-exceeded') admitted++;
      }
      return admitted <= ((w.clock.now() - began) * 20) / 1000 + 10;
    }),
    { seed: SEED, numRuns: 50 },
  );
  t.ok(admitted > 500, `${admitted} admitted, seed ${SEED}`);
});

t.test('what one tenant is told does not depend on another', async (t) => {
  const spec = plan('free', {
    rate: { requests: { limit: '10/s', burst: 5 } },
    concurrency: 3,
    degrade: [{ features: ['x'] }, 'reject'],
  });
  const step = fc.record({ gapMs: fc.integer({ min: 0, max: 200 }), isNeighbour: fc.boolean(), hold: fc.boolean() });
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 80 }), async (steps) => {
      const run = async (withNeighbour: boolean): Promise<string[]> => {
        const w = await world(spec, tenant('acme') + tenant('globex'));
        const told: string[] = [];
        for (const { gapMs, isNeighbour, hold } of steps) {
          w.clock.advance(gapMs);
          if (isNeighbour && !withNeighbour) continue;
          const asked = w.ask(isNeighbour ? 'globex' : 'acme');
          if (!isNeighbour)
            told.push(asked.x.grant?.decision ?? (asked.verdict as { code: string }).code, ...asked.headers().raw);
          if (!hold) asked.done();
        }
        return told;
      };
      return JSON.stringify(await run(true)) === JSON.stringify(await run(false));
    }),
    { seed: SEED, numRuns: 15 },
  );
  t.pass(`seed ${SEED}`);
});

t.test('permits never leak, whatever order exchanges end and tenancies change in', async (t) => {
  const spec = plan('free', { concurrency: 4 });
  const w = await world(spec, tenant('acme') + tenant('globex'));
  const open: ReturnType<typeof w.ask>[] = [];
  let seed = SEED;
  const random = () => (seed = (Math.imul(seed, 1_664_525) + 1_013_904_223) >>> 0) / 2 ** 32;
  for (let i = 0; i < 400; i++) {
    const dice = random();
    const names = [...w.snapshot.tenants.keys()];
    if (dice < 0.5) open.push(w.ask(names[Math.floor(random() * names.length)] as string));
    else if (dice < 0.95) open.splice(Math.floor(random() * open.length), 1)[0]?.done();
    else await w.load(spec, random() < 0.5 ? tenant('acme') + tenant('globex') : tenant('globex') + tenant('initech'));
  }
  for (const each of open) each.done();
  for (const name of w.snapshot.tenants.keys())
    t.equal(w.limits.explain(w.snapshot, w.tenant(name), { method: 'GET', path: '/' }).concurrency.inFlight, 0, name);
});
