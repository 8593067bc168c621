/** A sidecar alone with a disk: of a hard quota it spends what stands there, and waits for that as long as a disk takes. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import t from 'tap';
import { systemClock, systemTimers, type Timers } from '../../../src/core/index.ts';
import { FleetQuotas, QUOTA_TICK_MS, tickQuotas } from '../../../src/limits/index.ts';
import type { Reply } from '../../../src/pipeline/index.ts';
import { ManualClock } from '../../helpers/manual-clock.ts';
import { type Asked, plan, tenant, type World, world } from '../world.ts';
import { actorOf } from './world.ts';

type Ended = { tearDown: (end: () => void) => void };

const HARD = { api_calls: { per: 'day', limit: 1000, mode: 'hard' } };
/** Of 1,000 so many may be spent that do not stand on disk. */
const FREE = 16;

function dirFor({ tearDown }: Ended): string {
  const dir = mkdtempSync(join(tmpdir(), 'reeve-alone-'));
  tearDown(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
}

const ended = (t: { teardown(end: () => void): void }): Ended => ({ tearDown: (end) => t.teardown(end) });

async function alone(stateDir: string, quotas: object = HARD, more: object = {}): Promise<World> {
  const real = { clock: systemClock, timers: systemTimers, stateDir, ...more };
  const w = await world(plan('free', { quotas }), undefined, '', real);
  await w.limits.open();
  w.limits.use(w.snapshot, w.snapshot);
  return w;
}

/** Asks so often at once, and says what each was told. */
async function told(w: World, count: number, name = 'acme'): Promise<(string | undefined)[]> {
  const all: Asked[] = Array.from({ length: count }, () => w.ask(name));
  const verdicts = await Promise.all(all.map(({ verdict }) => verdict));
  for (const [at, each] of all.entries()) if (verdicts[at] === undefined) each.done();
  return verdicts.map((each) => each?.code);
}

const waitOf = (verdict: Reply | undefined): number => verdict?.retryAfterMs ?? 0;

t.test('more requests at once than may be ahead of the disk wait for it, and none is refused', async (t) => {
  const w = await alone(dirFor(ended(t)));
  t.same(new Set(await told(w, 60)), new Set([undefined]));
  const { quotas } = w.limits.explain(w.snapshot, w.tenant('acme'), { method: 'GET', path: '/' });
  t.match(quotas, [{ used: 60 }]);
  t.same(new Set(await told(w, 64, 'globex')), new Set([undefined]), 'another tenant as well');
  await w.limits.close();
});

t.test('of one tenant 64 wait, of whom nobody takes what another has', async (t) => {
  const w = await alone(dirFor(ended(t)));
  const all = await told(w, FREE + 64 + 20);
  t.equal(all.filter((each) => each === 'quota-exceeded').length, 20);
  t.equal(all.filter((each) => each === undefined).length, FREE + 64);
  await w.limits.close();
});

t.test('what is over the limit, or over its rate, waits for nothing', async (t) => {
  const w = await alone(dirFor(ended(t)), { api_calls: { per: 'day', limit: 20, mode: 'hard' } });
  t.equal((await told(w, 30)).filter((each) => each === undefined).length, 20);
  const { verdict } = w.ask('acme');
  t.match(verdict, { code: 'quota-exceeded' }, 'at once');
  t.ok(waitOf(verdict as Reply) > 2000);
  await w.limits.close();

  const plans = plan('free', { rate: { requests: { limit: '1/h', burst: FREE } }, degrade: ['reject'], quotas: HARD });
  const of = await world(plans, undefined, '', {
    clock: systemClock,
    timers: systemTimers,
    stateDir: dirFor(ended(t)),
  });
  await of.limits.open();
  of.limits.use(of.snapshot, of.snapshot);
  const verdicts = Array.from({ length: FREE + 4 }, () => of.ask('acme').verdict);
  t.notOk(verdicts.some((each) => each instanceof Promise));
  await of.limits.close();
});

t.test('a second quota that is used up refuses at once', async (t) => {
  const w = await alone(dirFor(ended(t)), { ...HARD, seats: { gauge: true, limit: 1, mode: 'hard' } });
  const held = Array.from({ length: FREE + 4 }, () => w.ask('acme').verdict);
  t.equal(held.filter((each) => each instanceof Promise).length, 4);
  w.limits.report(w.snapshot, JSON.stringify({ tenant: 'acme', usage: { seats: 1 } }));
  t.match(w.ask('acme').verdict, { code: 'quota-exceeded' });
  t.match(await Promise.all(held.slice(FREE)), Array(4).fill({ code: 'quota-exceeded' }), 'also who was held');
  await w.limits.close();
});

t.test(
  'a disk that does not answer holds a request for a quarter of a second; what it waits for may end',
  async (t) => {
    const clock = new ManualClock();
    const fleetQuotas = new FleetQuotas({ actor: actorOf(1), clock, isLone: true });
    const w = await world(plan('free', { quotas: HARD }), undefined, '', { clock, timers: clock, fleetQuotas });
    await w.limits.open();
    fleetQuotas.onDisk.await();
    fleetQuotas.onDisk.wrote(0);
    fleetQuotas.know('others');
    w.limits.use(w.snapshot, w.snapshot);
    for (let i = 0; i < FREE; i++) t.equal(w.one('acme'), 'pass');
    const [first, second] = [w.ask('acme').verdict, w.ask('acme').verdict];
    const third = w.ask('globex');
    t.ok(first instanceof Promise && second instanceof Promise);
    t.equal(third.verdict, undefined, 'nobody else waits');
    // Not enough for both is kept: who gets nothing waits on.
    fleetQuotas.onDisk.say(false);
    await turn();
    clock.advance(250);
    t.match(await first, { code: 'quota-exceeded', retryAfterMs: 2000, detail: /account for what it spent first/ });
    t.match(await second, { code: 'quota-exceeded' });
    t.equal(w.one('acme'), 'none', 'the next is held as well');
    clock.advance(250);
    await turn();

    // Its tenant is removed while it waits.
    const late = w.ask('acme').verdict;
    t.ok(late instanceof Promise);
    const { tenants } = w.snapshot;
    const next = { ...w.snapshot, generation: w.snapshot.generation + 1 };
    w.limits.use({ ...next, tenants: new Map([...tenants].filter(([id]) => id !== 'acme')) }, w.snapshot);
    clock.advance(250);
    t.match(await late, { code: 'tenant-unknown' });
    await w.limits.close();
  },
);

t.test('who leaves in order loses nothing', async (t) => {
  const stateDir = dirFor(ended(t));
  const hundred = { api_calls: { per: 'day', limit: 100, mode: 'hard' } };
  const first = await alone(stateDir, hundred);
  t.same(new Set(await told(first, 40)), new Set([undefined]));
  await first.limits.close();
  const second = await alone(stateDir, hundred);
  t.same(new Set(await told(second, 60)), new Set([undefined]));
  t.same(await told(second, 1), ['quota-exceeded']);
  await second.limits.close();
});

t.test('many tenants are looked at in turns of the loop', async (t) => {
  const clock = new ManualClock();
  let turns = 0;
  let tick = (): void => {};
  const timers = {
    ...{ after: clock.after.bind(clock), sleep: clock.sleep.bind(clock) },
    every(periodMs: number, run: () => void) {
      if (periodMs === QUOTA_TICK_MS) tick = run;
      return { cancel() {} };
    },
    afterPoll(task: () => void) {
      turns++;
      task();
    },
  };
  const names = Array.from({ length: 2000 }, (_, index) => `t${index}`);
  const more = { clock, timers, stateDir: dirFor(ended(t)) } as object;
  const w = await world(plan('free', { quotas: HARD }), names.map((name) => tenant(name)).join(''), '', more);
  await w.limits.open();
  w.limits.use(w.snapshot, w.snapshot);
  for (const name of names) t.equal(w.one(name), 'pass');
  tick();
  t.ok(turns > 1, `${turns} turns`);
  await w.limits.close();
});

t.test('who serves no quotas lacks none', async (t) => {
  const { unparted, unreachable } = new FleetQuotas({ actor: actorOf(1), clock: new ManualClock() });
  t.same([unparted, unreachable], [0, 0]);
});

t.test('what is urgent is told at once, where there is somebody', async (t) => {
  let told = 0;
  let tick = (): void => {};
  const timers = { every: (_: number, run: () => void) => (tick = run) } as unknown as Timers;
  const urgent = { tick: () => true, isBehind: false } as FleetQuotas;
  tickQuotas(urgent, timers, () => told++);
  tick();
  t.equal(told, 1);
  tickQuotas(urgent, timers);
  tick();
  t.equal(told, 1);
});
