/** Memory beside the heap is given back: this process's own, and that of a real sidecar. */

import { once } from 'node:events';
import { readFileSync, readlinkSync } from 'node:fs';
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import t from 'tap';
import { imageSpans, ResidentMemory } from '../../src/cli/resident-memory.ts';
import { systemHeap } from '../../src/core/index.ts';
import { becomes } from '../helpers/processes.ts';
import { childSidecar, settings } from '../helpers/sidecar.ts';
import { makeTenancy } from '../helpers/tenancy.ts';

const MIB = 2 ** 20;
const isThere = ((): { skip?: string } => {
  if (process.platform !== 'linux') return { skip: 'made for Linux' };
  try {
    import.meta.resolve('koffi');
    return {};
  } catch {
    return { skip: 'koffi is not installed' };
  }
})();

/** Of a process: resident bytes of the file it runs, and of what it wrote itself. */
function residentOf(pid: number): { file: number; own: number } {
  const path = readlinkSync(`/proc/${pid}/exe`);
  const resident = { file: 0, own: 0 };
  for (const mapping of readFileSync(`/proc/${pid}/smaps`, 'latin1').split(/^(?=[0-9a-f]+-[0-9a-f]+ )/m)) {
    const bytesOf = (what: string): number =>
      Number(new RegExp(`^${what}: +(\\d+) kB`, 'm').exec(mapping)?.[1] ?? 0) * 1024;
    if (mapping.split('\n', 1)[0]?.endsWith(path)) resident.file += bytesOf('Rss') - bytesOf('Anonymous');
    resident.own += bytesOf('Anonymous');
  }
  return resident;
}

t.test('pages of the file of Node and freed memory go; what is needed is there again', isThere, async (t) => {
  const unavailable: unknown[] = [];
  const memory = new ResidentMemory((cause) => unavailable.push(cause));
  const before = residentOf(process.pid);
  await memory.giveBack();
  const left = residentOf(process.pid);
  t.ok(left.file < before.file / 2, `${left.file / MIB} MiB of ${before.file / MIB} of Node's file`);
  t.same(unavailable, []);
  // Pieces that are too small to be unmapped one by one, of which a few live on in between.
  const living = Array.from({ length: 40_000 }, () => Buffer.allocUnsafeSlow(1000).fill(1)).filter(
    (_, at) => at % 50 === 0,
  );
  systemHeap.shrink();
  const freed = residentOf(process.pid);
  const began = performance.now();
  await memory.giveBack();
  t.comment(`figure: memory is given back in ${(performance.now() - began).toFixed(1)} ms`);
  const behind = residentOf(process.pid);
  t.ok(behind.own < freed.own - 20 * MIB, `${behind.own / MIB} MiB of ${freed.own / MIB}`);
  t.ok(living.every((each) => each[0] === 1 && each[999] === 1));
});

t.test('a sidecar that waits for requests holds little of Node itself', isThere, async (t) => {
  const tenancy = makeTenancy();
  t.teardown(() => tenancy.cleanUp());
  const { child, lines } = await childSidecar(t, settings('http://127.0.0.1:9', tenancy), { isCounted: true });
  const pid = child.pid as number;
  t.ok(await becomes(() => residentOf(pid).file < 15 * MIB));
  t.notMatch(lines.join(''), 'memory.not_given_back');
});

t.test('one that cannot give it back says so, and serves', async (t) => {
  const tenancy = makeTenancy();
  t.teardown(() => tenancy.cleanUp());
  const hook =
    "import { registerHooks } from 'node:module'; registerHooks({ resolve(name, context, next) { if (name === 'koffi') throw new Error('koffi is not installed'); return next(name, context); } });";
  const { ports, lines } = await childSidecar(t, settings('http://127.0.0.1:9', tenancy), {
    nodeArgs: ['--import', `data:text/javascript,${encodeURIComponent(hook)}`],
    isCounted: true,
  });
  t.ok(await becomes(() => lines.some((line) => line.includes('memory.not_given_back'))));
  const said = lines.find((line) => line.includes('memory.not_given_back'));
  t.match(JSON.parse(said as string), { severity: 'info', cause: 'koffi is not installed' });
  t.equal((await fetch(`http://127.0.0.1:${ports.status}/livez`)).status, 200);
});

t.test('the address space that a thread had is not touched when it has ended', isThere, async (t) => {
  const memory = new ResidentMemory((cause) => t.fail(String(cause)));
  const spans = () => imageSpans(readFileSync('/proc/self/smaps', 'latin1'), readlinkSync('/proc/self/exe'));
  const before = spans();
  const worker = new Worker('setInterval(() => {}, 1000)', { eval: true });
  await once(worker, 'online');
  t.same(spans(), before, 'V8 maps its builtins once more for each thread');
  await memory.giveBack();
  await worker.terminate();
  const buffers = Array.from({ length: 4 }, () => Buffer.alloc(64 * MIB, 0x5a));
  await memory.giveBack();
  const lost = buffers.flatMap((each) => Array.from({ length: each.length / 4096 }, (_, page) => each[page * 4096]));
  t.ok(lost.every((byte) => byte === 0x5a));
});

t.test('a sidecar that has no descriptor left lives', isThere, async (t) => {
  const tenancy = makeTenancy();
  t.teardown(() => tenancy.cleanUp());
  const { child, ports, lines } = await childSidecar(t, settings('http://127.0.0.1:9', tenancy), {
    within: ['sh', '-c', 'ulimit -n 100; exec "$@"', 'sh'],
  });
  const sockets = Array.from({ length: 200 }, () => connect(ports.inbound, '127.0.0.1').on('error', () => {}));
  t.teardown(() => sockets.forEach((each) => void each.destroy()));
  // Behind its next look at what it holds.
  await sleep(6000);
  t.equal(child.exitCode, null, lines.slice(-12).join('\n'));
});

t.test(
  'only what was loaded and is as in the file is dropped: nothing that was written, also where it is in swap',
  (t) => {
    const mapping = (head: string, anonymous: number, swap: number): string =>
      `${head}\nSize:  16 kB\nRss:  16 kB\nAnonymous:  ${anonymous} kB\nAnonHugePages:  0 kB\nSwap:  ${swap} kB\nSwapPss:  0 kB\nVmFlags: rd mr\n`;
    const smaps = [
      mapping('00400000-00746000 r--p 00000000 fe:00 5318191                            /bin/node', 0, 0),
      mapping('0074a000-03044000 r-xp 0034a000 fe:00 5318191                            /bin/node', 0, 0),
      mapping('06b52000-06b56000 r--p 06751000 fe:00 5318191                            /bin/node', 8, 0),
      mapping('06b56000-06b57000 r--p 06751000 fe:00 5318191                            /bin/node', 0, 4),
      mapping('06b57000-06b7c000 rw-p 06755000 fe:00 5318191                            /bin/node', 0, 0),
      mapping('06b7c000-06bb6000 r--p 00000000 00:00 0 ', 0, 0),
      mapping('7f0000000000-7f0000001000 r-xp 00000000 fe:00 5318192                    /lib/node', 0, 0),
      mapping('7f0000002000-7f0000003000 r-xp 01627000 fe:00 5318191                    /bin/node', 0, 0),
      mapping('ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0                  [vsyscall]', 0, 0),
    ].join('');
    t.same(imageSpans(smaps, '/bin/node'), [
      [0x400000, 0x346000],
      [0x74a000, 0x28fa000],
    ]);
    t.same(imageSpans('', '/bin/node'), []);
    t.end();
  },
);
