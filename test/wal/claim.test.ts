/** Whose a directory is, where its owner's process cannot be seen. */
import t from 'tap';
import { systemRandom } from '../../src/core/index.ts';
import { hereOf } from '../../src/wal/claim.ts';
import { Claim, type ClaimOptions, type Disk } from '../../src/wal/index.ts';
import { MemoryDisk } from '../metering/memory-disk.ts';
import { VirtualTime } from '../metering/world.ts';

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** Processes that share a volume. The memory's lock is seen by those that share a disk object. */
function volume() {
  const files = new MemoryDisk();
  const time = new VirtualTime();
  const said: string[] = [];
  /** `here`: the container; what is locked in one is not seen in another. */
  const process = (name: string, here: string, more: Partial<ClaimOptions> = {}) => {
    const options: ClaimOptions = {
      ...{ dir: '/data', beatFile: '/data/beat', lockFile: `/data/lock`, clock: time, timers: time },
      ...{ random: systemRandom, here, disk: container(files, here) },
      onLost: ({ code }) => void said.push(`${name} lost: ${code}`),
      ...more,
    };
    const taking = Claim.take(options);
    taking.catch(() => {});
    return taking;
  };
  const pass = async (ms: number): Promise<void> => {
    for (let i = 0; i < ms; i += 250) {
      time.advance(250);
      await turn();
    }
  };
  return { files, time, said, process, pass, text: () => textOf(files) };
}

const locks = new WeakMap<MemoryDisk, Map<string, Set<string>>>();

/** The files are everybody's, locks are seen within a container. */
function container(files: MemoryDisk, here: string): Disk {
  const all = locks.get(files) ?? new Map<string, Set<string>>();
  locks.set(files, all);
  const mine = all.get(here) ?? new Set<string>();
  all.set(here, mine);
  return new Proxy(files as Disk, {
    get(target, name) {
      if (name === 'isLocked') return (path: string) => mine.has(path);
      if (name === 'lock')
        return (path: string) => {
          if (mine.has(path)) return undefined;
          mine.add(path);
          return () => void mine.delete(path);
        };
      const value = target[name as keyof Disk];
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
}

function textOf(files: MemoryDisk): string {
  const file = files.files.get('/data/beat');
  return file === undefined ? '' : file.bytes.toString('latin1', 0, file.length);
}

t.test('a directory that nobody has, or had and left, is taken at once', async (t) => {
  const v = volume();
  const first = await v.process('first', 'a');
  t.match(v.text(), /^[0-9a-f]{16} a 1 \d+ +\n$/);
  t.equal(v.text().length, 160);
  first.assertHeld();
  await v.pass(2000);
  t.match(v.text(), / a 3 /, 'a beat a second');
  first.close();
  t.equal(v.text(), '');
  t.throws(() => first.assertHeld(), { code: 'log-taken' });
  first.close();
  (await v.process('second', 'b')).close();
  t.equal(v.time.timers, 0);
});

t.test('where the owner can be seen, its lock says it at once; killed, it is followed at once', async (t) => {
  const v = volume();
  const first = await v.process('first', 'a');
  await t.rejects(v.process('second', 'a'), { code: 'log-in-use', place: '/data', remedy: /Recreate/ });
  locks.get(v.files)?.clear();
  await v.process('third', 'a');
  await v.pass(1000);
  t.strictSame(v.said, ['first lost: log-taken'], 'one that was only thought to be dead');
  t.throws(() => first.assertHeld(), { code: 'log-taken' });
});

t.test('an owner in another container is waited for: it lives, it leaves, or it is gone', async (t) => {
  for (const fate of ['lives', 'leaves', 'is gone'] as const) {
    const v = volume();
    const first = await v.process('first', 'a');
    if (fate === 'is gone') v.time.suspend();
    const second = v.process('second', 'b');
    let outcome = '';
    second.then(
      () => (outcome = 'taken'),
      ({ code }) => (outcome = code),
    );
    await turn();
    t.equal(outcome, '', fate);
    if (fate === 'leaves') first.close();
    await v.pass(fate === 'is gone' ? 2000 : 1000);
    if (fate === 'is gone') {
      t.equal(outcome, '', 'two beats are not enough');
      await v.pass(1000);
    }
    t.equal(outcome, fate === 'lives' ? 'log-in-use' : 'taken', fate);
  }
});

t.test(
  'an owner that stood still has lost it: it says so, writes nothing more, and leaves the file alone',
  async (t) => {
    const v = volume();
    const regained: string[] = [];
    const first = await v.process('first', 'a', { onRegained: () => regained.push('first') });
    const resume = v.time.suspend();
    const second = v.process('second', 'b');
    await v.pass(3000);
    const owner = await second;
    const text = v.text();
    // It is asked before its beat is due again.
    t.throws(() => first.assertHeld(), { code: 'log-taken', message: /another process has taken/ });
    t.strictSame(v.said, ['first lost: log-taken']);
    t.equal(v.text(), text);
    resume();
    await v.pass(5000);
    t.strictSame(regained, [], 'while the other one lives');
    owner.assertHeld();
    first.close();
    t.ok(v.text().startsWith(text.slice(0, 16)), 'what closes without it removes nothing');
  },
);

t.test('what was lost is taken again when the other one left or is gone, by who waits for it', async (t) => {
  for (const fate of ['leaves', 'is gone'] as const) {
    const v = volume();
    let regained = 0;
    const first = await v.process('first', 'a', { onRegained: () => regained++ });
    const resume = v.time.suspend();
    const second = v.process('second', 'b');
    await v.pass(3000);
    const owner = await second;
    if (fate === 'is gone') v.time.suspend();
    resume();
    await v.pass(2000);
    t.equal(regained, 0, fate);
    t.strictSame(v.said, ['first lost: log-taken']);
    if (fate === 'leaves') owner.close();
    await v.pass(4000);
    t.equal(regained, 1, fate);
    first.assertHeld();
  }
});

t.test('who does not wait for it does not take it again', async (t) => {
  const v = volume();
  const first = await v.process('first', 'a');
  const resume = v.time.suspend();
  const second = v.process('second', 'b');
  await v.pass(3000);
  resume();
  await v.pass(1000);
  (await second).close();
  await v.pass(5000);
  t.throws(() => first.assertHeld(), { code: 'log-taken' });
  t.equal(v.text(), '');
});

t.test('a beat that is removed, or garbage, is written anew; a disk that refuses is asked again', async (t) => {
  const v = volume();
  const first = await v.process('first', 'a');
  v.files.remove('/data/beat');
  await v.pass(1000);
  t.match(v.text(), / a 2 /);
  const file = v.files.files.get('/data/beat');
  file?.bytes.fill('x');
  (await v.process('no one', 'b', { disk: v.files, random: { ...systemRandom, hex: () => 'ff'.repeat(8) } })).close();
  await v.pass(1000);
  t.match(v.text(), / a 3 /);
  for (const call of ['open', 'read', 'write'] as const) {
    v.files.refuse = (each) => {
      if (each === call) throw Object.assign(new Error('EIO'), { code: 'EIO' });
    };
    await v.pass(3000);
    first.assertHeld();
    v.files.refuse = undefined;
  }
  t.strictSame(v.said, []);
  v.files.refuse = (each) => {
    if (each === 'read') throw Object.assign(new Error('EIO'), { code: 'EIO' });
  };
  first.close();
  v.files.refuse = undefined;
  t.not(v.text(), '', 'it stays, and who comes next waits');
  v.files.refuse = (each) => {
    if (each === 'read') throw Object.assign(new Error('EIO'), { code: 'EIO' });
  };
  await v.process('cannot read it', 'c');
  v.files.refuse = undefined;
  t.match(v.text(), / c 1 /, 'a disk that fails keeps nobody from a start: what opens the directory says so');
});

t.test('a directory that cannot be made or locked is left to whoever opens it to say', async (t) => {
  const v = volume();
  const disk = container(v.files, 'a');
  const refusing = new Proxy(disk, {
    get: (target, name) =>
      name === 'lock'
        ? () => {
            throw Object.assign(new Error('EROFS'), { code: 'EROFS' });
          }
        : target[name as keyof Disk],
  });
  (await v.process('first', 'a', { disk: refusing })).close();
  let asked = 0;
  const late = new Proxy(disk, {
    get: (target, name) =>
      name === 'lock' ? () => void asked++ : name === 'isLocked' ? () => false : target[name as keyof Disk],
  });
  await t.rejects(v.process('second', 'a', { disk: late }), { code: 'log-in-use' }, 'another one was quicker');
  t.equal(asked, 1);
});

t.test('which processes are seen from here is asked of the system', async (t) => {
  const v = volume();
  const claim = await v.process('first', 'a', { here: undefined as never });
  t.match(v.text(), process.platform === 'linux' ? /^\S+ [0-9a-f-]{36}\/\d+ 1 / : /^\S+ - 1 /);
  claim.close();
});

t.test('where there is no /proc nobody knows whose container it is', async (t) => {
  t.equal(hereOf('/nowhere'), '-');
  t.match(hereOf(), /^[0-9a-f-]{36}\/\d+$/);
});
