/** Whose a sample of perf is. */
import { join } from 'node:path';
import t from 'tap';
import { type Frame, partOf, roomsOf, roomsOfCheckout } from '../../bench/profile/parts.ts';
import { countsOf } from '../../bench/profile/samples.ts';

const BUNDLE = ['import x;', '// src/wire/bytes.ts', 'var a;', '// src/proxy/fast/outbox.ts', '// a remark', 'var b;'];

t.test('a line of the bundle is of the room whose module stands above it', async (t) => {
  t.same(roomsOf(BUNDLE.join('\n')), [undefined, 'wire', 'wire', 'proxy', 'proxy', 'proxy']);
  t.same(roomsOf('// node_modules/undici/index.js\nvar c;\n// src/core/clock.ts'), [undefined, undefined, 'core']);
  t.same(roomsOf('// src/core/clock.ts\n// remark\n// a/b\nvar d;'), ['core', 'core', 'core', 'core']);
});

t.test('a source is of the room whose folder it stands in', async (t) => {
  const roomOf = roomsOfCheckout('/usr/src/app');
  t.equal(roomOf('/usr/src/app/src/cli/reeve.mjs', 1), 'cli');
  t.equal(roomOf('/usr/src/app/node_modules/undici/src/core/x.js', 1), undefined);
  t.equal(roomOf('/usr/src/other/x.js', 1), undefined);
  t.equal(roomsOfCheckout()(join(import.meta.dirname, '../../src/wire/bytes.ts'), 7), 'wire');
});

t.test('a sample is of who runs, in the kernel of the system call', async (t) => {
  const rooms = roomsOf(BUNDLE.join('\n'));
  const part = (...frames: readonly [symbol: string, object: string][]): string =>
    partOf(
      frames.map(([symbol, object]): Frame => ({ symbol, object })),
      (file, line) => (file === '/x/dist/chunk.mjs' ? rooms[line - 1] : undefined),
    );
  const kernel = '[kernel.kallsyms]';
  t.equal(part(['tcp_ack', kernel], ['ksys_write', kernel], ['__x64_sys_write', kernel]), 'kernel: write');
  t.equal(part(['schedule', kernel], ['do_epoll_wait', kernel], ['__x64_sys_epoll_pwait', kernel]), 'kernel: epoll');
  t.equal(part(['do_futex', kernel], ['__x64_sys_futex', kernel]), 'kernel: other');
  t.equal(part(['asm_sysvec_apic_timer_interrupt', kernel], ['uv_run', '/opt/node/bin/node']), 'kernel: other');
  t.equal(part(['entry_SYSCALL_64', kernel], ['__GI___libc_write', '/lib/libc.so.6']), 'kernel: other');
  t.equal(part(['do_syscall_64', kernel], ['entry_SYSCALL_64_after_hwframe', kernel]), 'kernel: other');
  t.equal(part(['nf_conntrack_in', '[nf_conntrack]'], ['__x64_sys_write', kernel]), 'kernel: write');
  for (const [call, shown] of [
    ...(['write', 'writev', 'pwrite64', 'pwritev2'] as const).map((each) => [each, 'write'] as const),
    ...(['read', 'readv', 'pread64', 'preadv'] as const).map((each) => [each, 'read'] as const),
    ...(['readlink', 'readahead', 'writeback', 'epoll'] as const).map((each) => [each, 'other'] as const),
    ['epoll_ctl', 'epoll'],
  ] as const)
    t.equal(part(['x', kernel], [`__arm64_sys_${call}`, kernel]), `kernel: ${shown}`, call);
  t.equal(part(['uv_run', '/opt/node/bin/node']), 'Node and V8: native code');
  t.equal(part(['__memmove_evex', '/lib/libc.so.6'], ['uv_run', '/opt/node/bin/node']), 'C library');
  t.equal(part(['operator new', '/usr/lib/x86_64-linux-gnu/libstdc++.so.6.0.30']), 'C library');
  t.equal(part(['_dl_fixup', '/lib64/ld-linux-x86-64.so.2']), 'C library');
  t.equal(part(['__vdso_clock_gettime', '[vdso]']), 'clock');
  t.equal(part(['inflate', '/usr/lib/libz.so.1']), 'other code');
  t.equal(part(['[unknown]', '[anon]']), 'other code');
  t.equal(part(["JS:*'read file:///x/dist/chunk.mjs:3:7", '[JIT] tid 7']), 'wire');
  t.equal(part(['JS:+#a b file:///x/dist/chunk.mjs:6:7', '/tmp/perf-7.map']), 'proxy');
  t.equal(part(["JS:*'x file:///x/node_modules/y/z.js:3:7", '[JIT] tid 7']), 'dependencies');
  t.equal(part(['JS:*slice node:buffer:3:7', '[JIT] tid 7']), 'Node: its JavaScript');
  t.equal(part(['RegExp:^a', '[JIT] tid 7']), 'Node and V8: native code');
});

/** As perf 6.1 writes it, shortened. */
const RECORDED = `31385 
	ffffffff816bb445 vfs_write ([kernel.kallsyms])
	ffffffff816bb9d6 ksys_write ([kernel.kallsyms])
	ffffffff821ef691 do_syscall_64 ([kernel.kallsyms])
	ffffffff81000130 entry_SYSCALL_64_after_hwframe ([kernel.kallsyms])
	           f838f __GI___libc_write (/usr/lib/x86_64-linux-gnu/libc.so.6)
	         16132bc uv_fs_write (/opt/node/bin/node)

31385 
	          e7a4bc v8::internal::(anonymous namespace)::Invoke (/opt/node/bin/node)
	    7f8b6c00ad1b JS:* file:///x/src/wire/a.mjs:1:1 (/tmp/perf-31385.map)

31385 
	    7f8b6c00ad1b JS:*'read file:///x/src/wire/a.mjs:9:1 (/tmp/perf-31385.map)
	               0 [unknown] ([unknown])

31392 
	ffffffff81216ba5 futex_wait ([kernel.kallsyms])

31385 
	               0 [unknown] ([unknown])

31385 

`;
const recorded = (text: string): [string, number][] =>
  [...countsOf(text, 31_385, roomsOfCheckout('/x'))].sort(([a], [b]) => (a < b ? -1 : 1));

t.test('samples are counted by part; none that cannot be read vanishes', async (t) => {
  t.same(recorded(RECORDED), [
    ['Node and V8: native code', 1],
    ['kernel: write', 1],
    ['not attributed', 2],
    ['other threads', 1],
    ['wire', 1],
  ]);
  t.same(recorded(`${RECORDED}31385 \n\tnot a frame\n\n`)[2], ['not attributed', 3]);
});

t.test('a profile without the kernel, or the names of its calls, says what to do', async (t) => {
  const remedy = /run as root, or `sysctl kernel.perf_event_paranoid=1 kernel.kptr_restrict=0`/;
  const inKernel = /^.*kernel\.kallsyms.*\n/gm;
  t.throws(() => recorded(RECORDED.replaceAll(inKernel, '')), { message: /no samples of the kernel/ });
  t.throws(() => recorded(RECORDED.replaceAll(inKernel, '')), { message: remedy });
  t.throws(() => recorded(''), { message: remedy });
  const nameless = RECORDED.replaceAll(/\S+ \(\[kernel/g, '[unknown] ([kernel');
  t.throws(() => recorded(nameless), { message: /no names of the kernel's system calls/ });
  t.throws(() => recorded(nameless), { message: remedy });
});
