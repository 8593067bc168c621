/** The log of what this sidecar counted, on a real disk: what it survives, what it says, and what it never holds up. */
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { Allowance } from '../../../src/limits/fleet-quotas/allowance.ts';
import { Claims } from '../../../src/limits/fleet-quotas/claims.ts';
import { willRow } from '../../../src/limits/fleet-quotas/heirs.ts';
import { OnDisk } from '../../../src/limits/fleet-quotas/on-disk.ts';
import type { FleetRow } from '../../../src/limits/fleet-quotas/row.ts';
import { CounterStore } from '../../../src/limits/quotas/counter-store.ts';
import { GaugeStore } from '../../../src/limits/quotas/gauge-store.ts';
import { HEAD } from '../../../src/limits/quotas/log-file.ts';
import { type OwnDisk, type OwnFile, ownDisk, unlessUnknown } from '../../../src/limits/quotas/own-disk.ts';
import { type FleetKept, type Inheritance, type LastLife, OwnLog } from '../../../src/limits/quotas/own-log.ts';
import { createLog, silentLog } from '../../../src/telemetry/index.ts';
import { ManualClock } from '../../helpers/manual-clock.ts';
import { becomes } from '../../helpers/processes.ts';
import type { Ending } from '../../helpers/sidecar.ts';

let lives = 0;

interface Life {
  readonly clock: ManualClock;
  readonly counters: CounterStore;
  readonly gauges: GaugeStore;
  readonly own: OwnLog;
  readonly lines: Record<string, unknown>[];
  add(units: number, day?: number, tenant?: string): void;
  /** Lets a second pass, and what is then written be written. */
  second(): Promise<void>;
}

/** One life of a process: counts are its own, the disk is everybody's. */
async function live(
  dir: string,
  more: { logBytesMax?: number; sliceLines?: number; disk?: OwnDisk } = {},
): Promise<Life> {
  const clock = new ManualClock();
  const actor = (++lives).toString(16).padStart(16, '0');
  const counters = new CounterStore({ actor });
  const gauges = new GaugeStore(actor);
  const lines: Record<string, unknown>[] = [];
  const log = createLog({ clock, level: 'info', write: (line) => void lines.push(JSON.parse(line) as never) });
  const own = new OwnLog({ dir, disk: ownDisk, counters, gauges, timers: clock, log, ...more });
  await own.open();
  return {
    clock,
    counters,
    gauges,
    own,
    lines,
    add: (units, day = 100, tenant = 'acme') => counters.add(counters.open(tenant, 'api_calls', day), units),
    async second() {
      clock.advance(own.isWriting ? 1000 : 10_000);
      // The next commit is armed when this one is done.
      await becomes(() => clock.pending > 0);
    },
  };
}

function folder(t: Ending): string {
  const dir = mkdtempSync(join(tmpdir(), 'reeve-quotas-'));
  t.teardown(() => rmSync(dir, { recursive: true, force: true }));
  return join(dir, 'state');
}

/** Another life on a copy of the files as they are. */
async function copyOf(dir: string): Promise<Life> {
  cpSync(dir, `${dir}-copy`, { recursive: true });
  const copy = await live(`${dir}-copy`);
  await copy.own.close();
  rmSync(`${dir}-copy`, { recursive: true });
  return copy;
}

const used = ({ counters }: Life, day = 100, tenant = 'acme'): number => counters.valueOf(tenant, 'api_calls', day);
const events = ({ lines }: Life): unknown[] => lines.map(({ event }) => event);

t.test('counts, totals and gauges are there again after a restart, as rows of an earlier life', async (t) => {
  const dir = folder(t);
  const first = await live(dir);
  t.ok(existsSync(join(dir, 'quotas.log')), 'a directory that is missing is made');
  first.add(5, 99);
  first.counters.close(100, 0);
  first.add(7);
  first.gauges.set('acme', 'seats', 3, 1000);
  await first.own.close();
  const second = await live(dir);
  t.same([used(second, 99), used(second), second.gauges.valueOf('acme', 'seats')], [5, 7, 3]);
  second.add(1);
  second.counters.refund(second.counters.open('acme', 'api_calls', 100), 1);
  await second.own.close();
  await second.own.close();
  const third = await live(dir);
  t.equal(used(third), 7);
  t.equal([...third.counters.rows()].length, 2, 'one row a life');
  third.counters.close(101, 0);
  await third.own.close();
  const fourth = await live(dir);
  t.same(
    [...fourth.counters.closed()].map(({ day, total }) => [day, total]),
    [
      [99, 5],
      [100, 7],
    ],
  );
  t.equal([...fourth.counters.rows()].length, 0, 'a closed day is one total');
  await fourth.own.close();
  t.same(first.lines.concat(second.lines, third.lines, fourth.lines), [], 'and nothing is said of it');
});

t.test('what was counted a second ago is on disk, without an end of the process', async (t) => {
  const dir = folder(t);
  const first = await live(dir);
  first.add(5);
  first.gauges.set('acme', 'seats', 9, 5);
  await first.second();
  first.add(2);
  const killed = await live(dir);
  t.same([used(killed), killed.gauges.valueOf('acme', 'seats')], [5, 9], 'what came after is the last second');
  await first.second();
  await first.second();
  await killed.own.close();
  await first.own.close();
});

t.test('an end in the middle of a commit writes what is left, and begins nothing anew', async (t) => {
  const dir = folder(t);
  const first = await live(dir);
  first.add(5);
  first.clock.advance(1000);
  first.add(2);
  await first.own.close();
  t.equal(first.clock.pending, 0);
  const second = await live(dir);
  t.equal(used(second), 7);
  await second.own.close();
});

t.test('a log that has grown gives way to a new one, and none of it is lost in between', async (t) => {
  const dir = folder(t);
  const first = await live(dir, { logBytesMax: 3000 });
  let largest = 0;
  for (let round = 0; round < 30; round++) {
    for (let tenant = 0; tenant < 10; tenant++) first.add(1, 100, `t${tenant}`);
    await first.second();
    largest = Math.max(largest, readFileSync(join(dir, 'quotas.log')).length);
    t.equal(used(await copyOf(dir), 100, 't3'), round + 1);
  }
  t.ok(largest < 5000, `${largest} bytes`);
  await first.own.close();
});

t.test('more rows than one slice', async (t) => {
  const dir = folder(t);
  const first = await live(dir);
  for (let i = 0; i < 2500; i++) first.add(i, 100, `t${i}`);
  await first.second();
  const second = await live(dir);
  t.equal(used(second, 100, 't2499'), 2499);
  await second.own.close();
  await first.own.close();
});

t.test('a torn tail costs what it held, and is named', async (t) => {
  const dir = folder(t);
  const path = join(dir, 'quotas.log');
  const first = await live(dir);
  first.add(5);
  await first.second();
  first.add(5, 101);
  await first.second();
  truncateSync(path, readFileSync(path).length - 10);
  const second = await live(dir);
  t.same([used(second), used(second, 101)], [5, 0]);
  t.match(second.lines, [{ severity: 'warn', event: 'quota.log_damaged', line: 3, records: 1, what: 'torn tail' }]);
  t.notOk(existsSync(`${path}.damaged`), 'what a crash leaves is no riddle');
  await second.own.close();
  await first.own.close();
});

t.test(
  'corrupt records are found, named and left out; the rest counts, and the files are kept to look at',
  async (t) => {
    const dir = folder(t);
    const path = join(dir, 'quotas.log');
    const first = await live(dir);
    for (let day = 100; day < 105; day++) first.add(5, day);
    await first.second();
    const lines = readFileSync(path, 'utf8').split('\n');
    lines[1] = (lines[1] as string).replace(',5,', ',9,');
    lines[2] = 'x'.repeat(5000);
    lines[3] = '';
    writeFileSync(path, lines.join('\n'));
    const second = await live(dir);
    t.same(
      [100, 101, 102, 103, 104].map((day) => used(second, day)),
      [0, 0, 0, 5, 5],
    );
    t.match(second.lines, [
      { event: 'quota.log_damaged', line: 2, records: 3, what: 'corrupt records', kept: `${path}.damaged` },
    ]);
    t.equal(readFileSync(`${path}.damaged`, 'utf8'), lines.join('\n'));
    await second.own.close();
    const third = await live(dir);
    t.same(third.lines, [], 'the new files are whole');
    await third.own.close();
    await first.own.close();
  },
);

t.test('a record of an unknown kind, a file of another form, and one that cannot be read', async (t) => {
  const dir = folder(t);
  mkdirSync(dir);
  const path = join(dir, 'quotas.log');
  writeFileSync(
    path,
    `${HEAD}${sealed('["z","acme"]')}${sealed('["c","acme","api_calls",100,"00000000000000aa",4,0]')}`,
  );
  const first = await live(dir);
  t.equal(used(first), 4);
  t.match(first.lines, [{ event: 'quota.log_damaged', line: 2, what: 'corrupt records' }]);
  await first.own.close();
  writeFileSync(path, sealed('["reeve-quotas",2]'));
  const second = await live(dir);
  t.match(second.lines, [{ event: 'quota.log_damaged', what: 'unknown form', effect: 'nothing of it is counted' }]);
  t.equal(readFileSync(`${path}.damaged`, 'utf8'), sealed('["reeve-quotas",2]'));
  await second.own.close();
  rmSync(`${path}.damaged`);
  rmSync(path);
  mkdirSync(path);
  const third = await live(dir);
  t.same(events(third), ['quota.log_unreadable']);
  t.ok(third.own.isWriting, 'it is moved aside');
  await third.own.close();
  rmSync(`${path}.damaged`, { recursive: true });
  writeFileSync(path, '');
  truncateSync(path, 1600 * 2 ** 20);
  const fourth = await live(dir);
  t.match(fourth.lines, [{ event: 'quota.log_unreadable', cause: /1677721600 bytes/ }]);
  await fourth.own.close();
});

t.test('a day that was closed, and opened again by a clock set back, is there again after a restart', async (t) => {
  const dir = folder(t);
  const first = await live(dir);
  first.add(5);
  first.counters.close(101, 0);
  await first.second();
  first.add(2);
  await first.second();
  first.add(1);
  await first.second();
  t.equal(used(await copyOf(dir)), 8, 'within a second');
  await first.own.close();
  const second = await live(dir);
  t.equal(used(second), 8);
  second.add(1);
  await second.own.close();
  const third = await live(dir);
  t.equal(used(third), 9, 'and after the next');
  third.counters.close(101, 0);
  await third.own.close();
  const fourth = await live(dir);
  t.same([...fourth.counters.closed()], [{ tenant: 'acme', meter: 'api_calls', day: 100, total: 9 }]);
  await fourth.own.close();
});

t.test('a day that is closed while a new file is written has its total in it', async (t) => {
  const dir = folder(t);
  let wait = Number.POSITIVE_INFINITY;
  const disk: OwnDisk = {
    ...ownDisk,
    async create(path) {
      const file = await ownDisk.create(path);
      const append = (text: string): Promise<void> => {
        // Behind the head and the row of acme, and before that of globex.
        if (--wait === 0) {
          first.add(2);
          first.counters.close(101, 0);
          first.add(1);
        }
        return file.append(text);
      };
      return { ...file, append };
    },
  };
  const first = await live(dir, { disk, logBytesMax: 1, sliceLines: 1 });
  first.add(5);
  first.add(7, 100, 'globex');
  await first.second();
  wait = 1;
  await first.second();
  t.equal(first.counters.closings, 1);
  const copy = await copyOf(dir);
  t.same([used(copy), used(copy, 100, 'globex')], [8, 7], 'all of it');
  await first.own.close();
});

t.test('a directory that is removed while it runs is said, and made again with all that is known', async (t) => {
  const dir = folder(t);
  const first = await live(dir);
  first.add(5);
  await first.second();
  rmSync(dir, { recursive: true });
  first.add(2);
  await first.second();
  t.notOk(first.own.isWriting);
  t.match(first.lines, [{ event: 'quota.log_failed', cause: /removed/, remedy: /stateDir/ }]);
  await first.second();
  t.ok(first.own.isWriting);
  t.equal(used(await copyOf(dir)), 7);
  await first.own.close();
});

t.test('a clock that was set back has nothing written anew', async (t) => {
  const dir = folder(t);
  const made: string[] = [];
  const create = (path: string): Promise<OwnFile> => {
    made.push(path);
    return ownDisk.create(path);
  };
  const first = await live(dir, { disk: { ...ownDisk, create } });
  for (let tenant = 0; tenant < 5; tenant++) first.add(1, 100, `t${tenant}`);
  first.counters.close(101, 0);
  await first.second();
  t.equal(made.length, 2, 'the first, and that of the day that was closed');
  for (let tenant = 0; tenant < 5; tenant++) {
    first.add(1, 100, `t${tenant}`);
    await first.second();
    t.equal(used(await copyOf(dir), 100, `t${tenant}`), 2);
  }
  t.equal(made.length, 2);
  await first.own.close();
});

t.test('a full disk: counts go on in memory, it is said once, and when there is room all is written', async (t) => {
  const dir = folder(t);
  const first = await live(dir, { logBytesMax: 1 });
  first.add(5);
  const next = join(dir, 'quotas.log.new');
  symlinkSync('/dev/full', next);
  first.add(1);
  await first.second();
  await first.second();
  await first.second();
  t.notOk(first.own.isWriting);
  t.match(first.lines, [{ event: 'quota.log_failed', cause: /ENOSPC/, remedy: /stateDir/ }]);
  first.add(2);
  t.equal(used(first), 8, 'it counts on');
  rmSync(next);
  await first.second();
  t.ok(first.own.isWriting);
  t.match(events(first), ['quota.log_failed', 'quota.log_recovered']);
  const second = await live(dir);
  t.equal(used(second), used(first));
  await second.own.close();
  await first.own.close();
});

t.test('a state directory that cannot be written, from the start', async (t) => {
  const dir = folder(t);
  writeFileSync(dir, 'a file');
  const first = await live(dir);
  t.match(events(first), ['quota.log_unreadable', 'quota.log_failed']);
  first.add(5);
  t.equal(used(first), 5);
  await first.second();
  t.notOk(first.own.isWriting);
  rmSync(dir);
  await first.own.close();
  const second = await live(dir);
  t.equal(used(second), 5, 'what it could not write before it wrote at the end');
  await second.own.close();
});

/** A line as the log writes it. */
function sealed(json: string): string {
  return `${crc(json).toString(16).padStart(8, '0')} ${json}\n`;
}

/** CRC-32 (ISO 3309), bit by bit. */
function crc(text: string): number {
  let sum = ~0;
  for (const byte of Buffer.from(text)) {
    sum ^= byte;
    for (let bit = 0; bit < 8; bit++) sum = sum & 1 ? (sum >>> 1) ^ 0xedb88320 : sum >>> 1;
  }
  return ~sum >>> 0;
}

t.test('a fleet: claims are kept, and the next life inherits once, if the last one left it something', async (t) => {
  const dir = folder(t);
  const claim = { kind: 'grant', tenant: 'acme', meter: 'api_calls', day: 1, from: 'a'.repeat(16), to: 'b'.repeat(16) };
  const clock = new ManualClock();
  const actors = ['1', '2', '3', '4', '5'].map((each) => each.repeat(16));
  const born = async (at: number) => {
    const actor = actors[at] as string;
    const claims = new Claims();
    const inherited: unknown[] = [];
    const onDisk = new OnDisk(new Allowance(() => {}));
    let as: Inheritance | undefined;
    const heritage = (last: LastLife) => {
      as = last.as;
      return [willRow(1, last.actor, actor, 'next')];
    };
    const inherit = (lives: readonly string[], { length }: readonly unknown[]): void =>
      void inherited.push([lives, length > 0 ? as : 'witness']);
    const fleet = { actor, claims, onDisk, isHeirless: false, comeback: { isWaiting: false }, heritage, inherit };
    const [counters, gauges] = [new CounterStore({ actor }), new GaugeStore(actor)];
    const own = new OwnLog({
      dir,
      disk: ownDisk,
      counters,
      gauges,
      fleet: fleet as FleetKept,
      timers: clock,
      log: silentLog,
    });
    await own.open();
    return { claims, inherited, fleet, own, counters };
  };
  const first = await born(0);
  t.same(first.inherited, []);
  first.claims.merge({ ...claim, x: 5, y: 0 } as FleetRow);
  clock.advance(1000);
  await becomes(() => clock.pending > 0);
  first.claims.merge({ ...claim, x: 6, y: 0 } as FleetRow);
  first.counters.add(first.counters.open('acme', 'api_calls', 1), 1);
  first.fleet.isHeirless = true;
  await first.own.close();
  const second = await born(1);
  t.same(second.inherited, [[[actors[0]], 'heir']]);
  t.match([...second.claims.rows()], [{ ...claim, x: 6 }]);
  second.claims.merge(willRow(1, actors[1] as string, 'b'.repeat(16), 'heir'));
  await second.own.close();
  const third = await born(2);
  t.same(
    third.inherited,
    [[[actors[0], actors[1]], 'next']],
    'it left it to another; what the first counted is told as well',
  );
  // Nothing but the end is to be written.
  third.fleet.isHeirless = true;
  await third.own.close();
  const fourth = await born(3);
  t.same(fourth.inherited, [[[actors[0], actors[2]], 'heir']], 'who counted nothing is forgotten');
  await fourth.own.close();
  const blocked = join(dir, 'quotas.log.new');
  mkdirSync(blocked);
  const fifth = await born(4);
  t.same(
    fifth.inherited,
    [[[actors[0], actors[3]], 'witness']],
    'the files are not its own: another may read them as well',
  );
  rmSync(blocked, { recursive: true });
  await fifth.own.close();
  // A life without a fleet reads such files as well.
  const alone = await live(dir);
  t.equal(alone.counters.valueOf('acme', 'api_calls', 1), 1);
  t.same(alone.lines, []);
  await alone.own.close();
});

t.test(
  'a disk that refuses: what stands there is set aside, so that nobody takes it for all; else nothing goes on',
  async (t) => {
    const dir = folder(t);
    const clock = new ManualClock();
    const said: Record<string, unknown>[] = [];
    const log = { ...silentLog, error: (event: string, fields?: object) => void said.push({ event, ...fields }) };
    const refuses = { sync: false, rename: false };
    const refuse = (isRefused: boolean): void => {
      if (isRefused) throw Object.assign(new Error('EIO'), { code: 'EIO' });
    };
    const disk: OwnDisk = {
      ...ownDisk,
      create: async (path) => {
        const file = await ownDisk.create(path);
        return { ...file, sync: async () => refuse(refuses.sync) };
      },
      rename: async (from, to) => {
        refuse(refuses.rename);
        await ownDisk.rename(from, to);
      },
    };
    const born = async (actor: string) => {
      const onDisk = new OnDisk(new Allowance(() => {}));
      const inherited: unknown[] = [];
      const heritage = ({ as }: LastLife) => {
        inherited.push(as);
        return [];
      };
      const fleet = {
        actor,
        claims: new Claims(),
        onDisk,
        isHeirless: false,
        comeback: { isWaiting: false },
        heritage,
        inherit: () => {},
      };
      const [counters, gauges] = [new CounterStore({ actor }), new GaugeStore(actor)];
      const own = new OwnLog({ dir, disk, counters, gauges, fleet, timers: clock, log });
      await own.open();
      return { own, onDisk, counters, inherited };
    };
    const first = await born('1'.repeat(16));
    t.equal(first.onDisk.upTo, 0);
    const fail = async (): Promise<void> => {
      first.counters.add(first.counters.open('acme', 'api_calls', 1), 1);
      clock.advance(1000);
      await becomes(() => !first.own.isWriting);
    };
    refuses.sync = true;
    refuses.rename = true;
    await fail();
    t.equal(first.onDisk.upTo, 0, 'nobody is told more');
    t.match(said, [{ event: 'quota.log_failed', effect: /not outlive a restart; little more is spent here/ }]);
    refuses.rename = false;
    clock.advance(10_000);
    await becomes(() => first.onDisk.upTo > 0);
    t.equal(first.onDisk.upTo, Number.POSITIVE_INFINITY, 'set aside, when it is tried again');
    t.same([existsSync(join(dir, 'quotas.log')), existsSync(join(dir, 'quotas.log.behind'))], [false, true]);
    refuses.sync = false;
    const second = await born('2'.repeat(16));
    t.same(second.inherited, ['next'], 'what it did last stands nowhere');
    t.notOk(existsSync(join(dir, 'quotas.log.behind')));
    await second.own.close();
    await first.own.close();
  },
);

t.test('a file system that knows no sync of directories is taken as it is; whatever else fails is said', async (t) => {
  await ownDisk.syncDir('/proc/self');
  t.throws(() => unlessUnknown(Object.assign(new Error('EIO'), { code: 'EIO' })));
});
