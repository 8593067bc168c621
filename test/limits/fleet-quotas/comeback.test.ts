/** A life that has the disk of the one before: when it has what that had, and what the others must have heard of it before. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { freeOf } from '../../../src/limits/fleet-quotas/allowance.ts';
import { Claims } from '../../../src/limits/fleet-quotas/claims.ts';
import { Comeback } from '../../../src/limits/fleet-quotas/comeback.ts';
import { Heirs, willRow } from '../../../src/limits/fleet-quotas/heirs.ts';
import { Members } from '../../../src/limits/fleet-quotas/members.ts';
import { type FleetRow, row } from '../../../src/limits/fleet-quotas/row.ts';
import { type OwnDisk, ownDisk } from '../../../src/limits/quotas/own-disk.ts';
import { OwnLog } from '../../../src/limits/quotas/own-log.ts';
import { silentLog } from '../../../src/telemetry/index.ts';
import { becomes } from '../../helpers/processes.ts';
import { again, diskOf, lifeOf } from './next-life.ts';
import { Fleet, type Sidecar } from './world.ts';

const HARD = { api_calls: { per: 'day', limit: 300, mode: 'hard' } };
/** 26 November 2026. */
const TODAY = 20_783;
/** Until most were seen for long enough. */
const SETTLED_MS = 4000;

async function threeOf(): Promise<[Fleet, Sidecar, Sidecar, Sidecar]> {
  const fleet = await Fleet.of(HARD, 3);
  fleet.pass(SETTLED_MS);
  return [fleet, ...(fleet.sidecars as [Sidecar, Sidecar, Sidecar])];
}

/** Of three, the last of which has nearly all, whose processes are gone and forgotten: what its disk has. */
async function allGone(): Promise<[Fleet, () => Sidecar]> {
  const [fleet, a, b, c] = await threeOf();
  for (const { actor, fleet: of } of [a, b])
    of.claims.put({
      kind: 'grant',
      tenant: 'acme',
      meter: 'api_calls',
      day: TODAY,
      from: actor,
      to: c.actor,
      x: 90,
      y: 0,
    });
  // Of nothing that was given: it changes nothing, and is told.
  const kept = { tenant: 'acme', meter: 'api_calls', day: TODAY, from: a.actor, to: b.actor } as const;
  a.fleet.claims.put({ kind: 'keep', ...kept, x: 1, y: 0 });
  fleet.pass(2000);
  t.equal(fleet.line(c, 'api_calls').rights, 280);
  const disk = diskOf(c);
  for (const each of [a, b, c]) fleet.end(each, 'dead');
  for (const each of [a, b, c]) each.isForgotten = true;
  fleet.expected = 3;
  return [fleet, () => lifeOf(fleet, disk, c.actor)];
}

function askAll(fleet: Fleet, times: number): void {
  for (let i = 0; i < times; i++) {
    for (const each of fleet.there) fleet.ask(each, 300);
    fleet.pass(250);
  }
}

t.test('two come without disks and one with, in whatever order: what the one knows of parts, all know', async (t) => {
  for (const ms of [0, 500, 2500, 2750, 3000, 8000, 65_000])
    for (const isLast of [true, false]) {
      const [fleet, comeBack] = await allGone();
      const addTwo = (): void => void [fleet.add(), fleet.add()];
      const order = isLast ? [addTwo, comeBack] : [comeBack, addTwo];
      order[0]?.();
      fleet.pass(ms);
      order[1]?.();
      askAll(fleet, 120);
      t.ok(fleet.admitted <= 300 && fleet.admitted > 200, `${fleet.admitted} of 300, ${ms} ms apart, ${isLast}`);
    }
});

t.test('all that asks comes after it has its rights again', async (t) => {
  for (const ms of [3000, 3500, 4000, 8000, 40_000]) {
    const [fleet, comeBack] = await allGone();
    for (let i = 0; i < 2; i++) fleet.add();
    fleet.pass(65_000);
    comeBack();
    fleet.pass(ms);
    askAll(fleet, 120);
    t.ok(fleet.admitted <= 300, `${fleet.admitted} of 300, asked ${ms} ms after`);
  }
});

t.test('all left in order, a ring of wills: one comes with its disk and is cut off, two come without', async (t) => {
  const [fleet, a, b, c] = await threeOf();
  const all = [a, b, c];
  for (const each of all) void each.fleet.leave();
  for (const to of all) for (const from of all) if (to !== from) fleet.hear(to, from);
  const disk = diskOf(b);
  for (const each of all) Object.assign(each, { state: 'left', isForgotten: true });
  fleet.expected = 3;
  const next = lifeOf(fleet, disk, b.actor, [], 'next');
  next.side = 1;
  for (const each of [fleet.add(), fleet.add()]) {
    next.fleet.onMember(fleet.member(next, each, 'dead'));
    each.fleet.onMember(fleet.member(each, next, 'dead'));
  }
  askAll(fleet, 300);
  t.equal(fleet.admitted, 300);
});

t.test('a farewell that nobody heard: its will is told behind what was spent', async (t) => {
  for (const many of [0, 300, 3000]) {
    const fleet = await Fleet.of(HARD, 2);
    const [a, b] = fleet.sidecars as [Sidecar, Sidecar];
    fleet.pass(5000);
    const { counters } = a.fleet;
    for (let i = 0; i < many; i++) counters.add(counters.open(`t${i}`, 'other', TODAY), 1);
    for (const each of [a, b]) fleet.ask(each, 150);
    void a.fleet.leave();
    fleet.end(a, 'left');
    lifeOf(fleet, diskOf(a), a.actor, [], 'next');
    askAll(fleet, 100);
    t.equal(fleet.admitted, 300, `behind ${many} counts`);
  }
});

t.test('nothing is spent of parts that there is no room to tell of', (t) => {
  const claims = new Claims();
  const [old, next, giver] = ['a', 'b', 'c'].map((each) => each.repeat(16)) as [string, string, string];
  claims.merge(row({ kind: 'keep', tenant: 'acme', meter: 'api_calls', day: TODAY, from: giver, to: old }, 1));
  claims.merge(row({ kind: 'share', meter: giver, day: TODAY, from: giver, to: old }, 0, 10));
  let room = 0;
  const told: string[] = [];
  const tell = ({ kind }: FleetRow): boolean => room > 0 && told.push(kind) > 0 && --room >= 0;
  const adopted: ReadonlySet<string>[] = [];
  const adopt = (writers: ReadonlySet<string>): void => void adopted.push(writers);
  const comeback = new Comeback({ members: new Members(next), claims, heirs: new Heirs(claims), tell, adopt });
  comeback.hold(willRow(TODAY, old, next, 'crash'));
  let now = 0;
  const pass = (): void => {
    for (let i = 0; i < 20; i++) comeback.look((now += 250));
  };
  pass();
  t.ok(comeback.isWaiting, 'what was kept finds none');
  room = 1;
  pass();
  t.ok(comeback.isWaiting, 'nor does the part');
  t.same([told, adopted.length], [['keep'], 0]);
  room = 2;
  pass();
  t.notOk(comeback.isWaiting);
  t.same([told, adopted.length], [['keep', 'keep', 'share'], 1]);
  t.end();
});

t.test('in a fleet that goes on nothing is told that others tell', async (t) => {
  const [fleet, a, b, c] = await threeOf();
  for (const each of [a, b, c]) fleet.ask(each, 90);
  fleet.add();
  fleet.pass(8000);
  t.ok(
    [...c.fleet.claims.rows()].some(({ kind }) => kind === 'keep'),
    'of what was given to who came',
  );
  const next = again(fleet, c, []);
  fleet.pass(1000);
  const { own } = next.fleet.size;
  fleet.pass(5000);
  t.notOk(next.fleet.comeback.isWaiting);
  t.equal(next.fleet.size.own, own + 1, 'its will');
  t.ok([...a.fleet.claims.ofKind('share')].length > 0);
});

t.test('most of the fleet must be there for three seconds in a row', async (t) => {
  const [fleet, a, b, c] = await threeOf();
  fleet.expected = 3;
  const next = again(fleet, c, []);
  const others = (state: 'alive' | 'dead'): void => {
    for (const each of [a, b]) next.fleet.onMember(fleet.member(next, each, state));
  };
  for (let i = 0; i < 4; i++) {
    others('alive');
    fleet.pass(2000);
    others('dead');
    fleet.pass(1000);
  }
  const { comeback } = next.fleet;
  t.ok(comeback.isWaiting);
  others('alive');
  fleet.isIsolated = true;
  fleet.pass(SETTLED_MS);
  t.ok(comeback.isWaiting, 'who hears nobody sees nobody');
  fleet.isIsolated = false;
  fleet.isFound = false;
  fleet.pass(SETTLED_MS);
  t.ok(comeback.isWaiting, 'nor who does not know who there is');
  fleet.isFound = true;
  fleet.pass(2500);
  t.ok(comeback.isWaiting);
  fleet.pass(1000);
  t.notOk(comeback.isWaiting);
});

t.test('who waits for long says so once; a will for which there is no room is said when there is', async (t) => {
  const [fleet, a, b, c] = await threeOf();
  for (const each of [a, b]) fleet.end(each, 'dead');
  fleet.expected = 3;
  const next = again(fleet, c, []);
  const said: object[] = [];
  next.fleet.comeback.onLong = () => void said.push(next.fleet.seen);
  fleet.pass(9000);
  t.same(said, []);
  fleet.pass(20_000);
  t.same(said, [{ members: 1, expected: 3 }]);
  const { claims } = next.fleet;
  const real = claims.put;
  claims.put = () => false;
  fleet.expected = 1;
  fleet.pass(5000);
  t.ok(next.fleet.comeback.isWaiting);
  claims.put = real;
  fleet.pass(500);
  t.notOk(next.fleet.comeback.isWaiting);
  t.ok([...claims.ofKind('will')].some(({ from, to }) => from === c.actor && to === next.actor));
});

t.test('one whose last life left in order leaves what it was given, also while it waits', async (t) => {
  const fleet = await Fleet.of(HARD, 5);
  fleet.pass(SETTLED_MS);
  const [a, , ...rest] = fleet.sidecars as [Sidecar, Sidecar, ...Sidecar[]];
  fleet.leave(a);
  for (const each of rest) fleet.end(each, 'dead');
  fleet.expected = 5;
  fleet.pass(1000);
  const next = lifeOf(fleet, diskOf(a), a.actor, [], 'next');
  fleet.pass(10_000);
  t.ok(fleet.line(next, 'api_calls').rights > 0, 'it was given something');
  t.ok(next.fleet.comeback.isWaiting);
  fleet.leave(next);
  t.notOk(next.fleet.isHeirless);
  askAll(fleet, 40);
  t.equal(fleet.admitted, 2 * 60, 'of the one that is there, and of the one that left');
});

/** A real disk of one life after the other, each of which is killed when the next has it, and how much is under way on it. */
class LivesDisk {
  #lives = 0;
  #busy = 0;

  /** Of the next life. What the one before asks of it from now on fails: it must not write over the file of this one. */
  next(): OwnDisk {
    const life = ++this.#lives;
    const call = async <T>(work: () => Promise<T>): Promise<T> => {
      if (life !== this.#lives) throw new Error('this life was killed');
      this.#busy++;
      try {
        return await work();
      } finally {
        this.#busy--;
      }
    };
    return {
      makeDir: (dir) => call(() => ownDisk.makeDir(dir)),
      create: (path) =>
        call(async () => {
          const file = await ownDisk.create(path);
          return {
            append: (text) => call(() => file.append(text)),
            sync: () => call(() => file.sync()),
            close: () => file.close(),
          };
        }),
      size: (path) => call(() => ownDisk.size(path)),
      read: (path) => call(() => ownDisk.read(path)),
      rename: (from, to) => call(() => ownDisk.rename(from, to)),
      copy: (from, to) => call(() => ownDisk.copy(from, to)),
      remove: (path) => call(() => ownDisk.remove(path)),
      syncDir: (dir) => call(() => ownDisk.syncDir(dir)),
    };
  }

  /** Nothing is under way, however slow the disk is: the clock of a fleet must not run away from it. */
  async rests(): Promise<void> {
    for (let quiet = 0; quiet < 3; quiet = this.#busy === 0 ? quiet + 1 : 0) await sleep(1);
  }
}

/** Lives with a real disk, one after the other: each is killed where the next opens the same file. */
function realDisk(t: Test, fleet: Fleet, logBytesMax?: number) {
  const dir = mkdtempSync(join(tmpdir(), 'reeve-comeback-'));
  t.teardown(() => rmSync(dir, { recursive: true, force: true }));
  const disk = new LivesDisk();
  return {
    /** What the file says of whose it is. */
    lives: (): string =>
      readFileSync(join(dir, 'quotas.log'), 'utf8')
        .match(/\["l".*\]/g)
        ?.join('\n') ?? '',
    async open({ fleet: { counters, gauges }, fleet: of }: Sidecar): Promise<OwnLog> {
      const more = logBytesMax === undefined ? {} : { logBytesMax };
      const log = new OwnLog({
        ...{ dir, disk: disk.next(), counters, gauges, fleet: of, timers: fleet.clock, log: silentLog, ...more },
      });
      t.teardown(() => log.close());
      await log.open();
      return log;
    },
    async pass(ms: number): Promise<void> {
      for (let at = 0; at < ms; at += 250) {
        fleet.pass(250);
        await disk.rests();
      }
    },
  };
}

t.test('its wills stand in each file of its disk until they are said', async (t) => {
  for (const logBytesMax of [1, 2 ** 20]) {
    const [fleet, a, b, c] = await threeOf();
    const { open, pass } = realDisk(t, fleet, logBytesMax);
    await open(a);
    await pass(2000);
    fleet.expected = 3;
    for (const each of [a, b, c]) fleet.end(each, 'dead');
    const next = fleet.add();
    await open(next);
    await pass(2000);
    next.fleet.counters.add(next.fleet.counters.open('acme', 'other', TODAY), 1);
    await pass(2000);
    fleet.end(next, 'dead');
    const last = fleet.add();
    await open(last);
    for (const each of [b, c]) {
      each.state = 'alive';
      last.fleet.onMember(fleet.member(last, each));
    }
    await pass(5000);
    const charged = freeOf(300) + freeOf(300, 1);
    t.equal(fleet.line(last, 'api_calls').rights, 100 - charged, `files of ${logBytesMax} bytes`);
  }
});

t.test('one that crashes again and again loses less than twice what a crash costs', async (t) => {
  const [fleet, first, ...others] = await threeOf();
  const { open, pass, lives } = realDisk(t, fleet);
  let log = await open(first);
  await pass(1000);
  let life = first;
  const next = async (): Promise<void> => {
    fleet.end(life, 'dead');
    life = fleet.add();
    log = await open(life);
    await pass(4000);
  };
  for (let crash = 1; crash <= 8; crash++) await next();
  const rights = 100 - (16 + 8 + 4 + 2 + 1);
  const other = others[0] as Sidecar;
  const isKnown = async (): Promise<boolean> => {
    await pass(250);
    return fleet.line(life, 'api_calls').rights === rights && fleet.line(other, 'api_calls').elsewhere === rights + 100;
  };
  t.ok(await becomes(isKnown, 30_000), `${fleet.line(life, 'api_calls').rights} of ${rights}`);
  t.equal(fleet.ask(life, 5), 0, 'nothing is spent of it that does not stand on the disk');
  t.ok(await becomes(() => fleet.ask(life, 5) > 0, 30_000), 'which takes a moment');
  t.ok(await becomes(() => fleet.admitted + fleet.ask(life, 5) >= rights, 30_000), 'all that is left is spent');
  t.equal(fleet.admitted, rights);
  t.match(lives(), `["l","${life.actor}",8]`);
  fleet.leave(life);
  await log.close();
  await next();
  t.match(lives(), `["l","${life.actor}"]`, 'behind one that left in order it begins anew');
});

t.test('who comes back with its disk, and is cut off, waits until it has seen most of the fleet', async (t) => {
  const [fleet, a, b, c] = await threeOf();
  fleet.expected = 3;
  const disk = diskOf(c);
  for (const each of [a, b, c]) fleet.end(each, 'dead');
  // Nobody they know knows of the rights there were.
  const anew = [fleet.add(), fleet.add()];
  fleet.pass(65_000);
  const late = lifeOf(fleet, disk, c.actor);
  const areCut = (isCut: boolean): void => {
    late.side = isCut ? 1 : 0;
    for (const each of anew) {
      late.fleet.onMember(fleet.member(late, each, isCut ? 'dead' : 'alive'));
      each.fleet.onMember(fleet.member(each, late, isCut ? 'dead' : 'alive'));
    }
  };
  areCut(true);
  let byLate = 0;
  const askAll = (): void => {
    for (let i = 0; i < 10; i++) {
      for (const each of anew) fleet.ask(each, 300);
      byLate += fleet.ask(late, 300);
      fleet.pass(1000);
    }
  };
  askAll();
  t.same([byLate, fleet.admitted], [0, 300]);
  areCut(false);
  askAll();
  t.same([byLate, fleet.admitted], [0, 300], 'it heard what was spent before it had anything');
});

t.test('who leaves before it has seen most of the fleet leaves what it had to its next life', async (t) => {
  const [fleet, , , c] = await threeOf();
  fleet.expected = 3;
  const next = again(fleet, c, []);
  fleet.pass(1000);
  t.equal(fleet.line(next, 'api_calls').rights, 0);
  fleet.leave(next);
  t.ok(next.fleet.isHeirless);
  t.notOk([...next.fleet.claims.ofKind('will')].some(({ from }) => from === next.actor));
  const claims = [
    ...next.fleet.claims.rows(),
    ...next.fleet.heritage({ actor: c.actor, as: 'crashed', crashes: 0, ahead: [] }),
  ];
  const last = lifeOf(fleet, { counts: [], claims }, next.actor, [], 'heir');
  fleet.pass(SETTLED_MS);
  t.equal(fleet.line(last, 'api_calls').rights, 100 - freeOf(300));
});

t.test('who does not know who is there parts nothing', async (t) => {
  const fleet = await Fleet.of(HARD, 1);
  const [a] = fleet.sidecars as [Sidecar];
  fleet.isFound = false;
  fleet.pass(120_000);
  t.equal(fleet.ask(a, 300), 0);
  fleet.isFound = true;
  fleet.pass(1000);
  t.equal(fleet.ask(a, 300), 300);
});
