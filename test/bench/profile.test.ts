/** Whose a sample of perf is. */
import t from 'tap';
import { type Frame, partOf, roomsOf } from '../../bench/profile/parts.ts';

const BUNDLE = ['import x;', '// src/wire/bytes.ts', 'var a;', '// src/proxy/fast/outbox.ts', '// a remark', 'var b;'];

t.test('a line of the bundle is of the room whose module stands above it', async (t) => {
  t.same(roomsOf(BUNDLE.join('\n')), [undefined, 'wire', 'wire', 'proxy', 'proxy', 'proxy']);
  t.same(roomsOf('// node_modules/undici/index.js\nvar c;\n// src/core/clock.ts'), [undefined, undefined, 'core']);
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
  t.equal(part(['uv_run', '/opt/node/bin/node']), 'Node and V8: native code');
  t.equal(part(['__memmove_evex', '/lib/libc.so.6'], ['uv_run', '/opt/node/bin/node']), 'C library');
  t.equal(part(["JS:*'read file:///x/dist/chunk.mjs:3:7", '[JIT] tid 7']), 'wire');
  t.equal(part(['JS:+#a b file:///x/dist/chunk.mjs:6:7', '/tmp/perf-7.map']), 'proxy');
  t.equal(part(["JS:*'x file:///x/node_modules/y/z.js:3:7", '[JIT] tid 7']), 'dependencies');
  t.equal(part(['JS:*slice node:buffer:3:7', '[JIT] tid 7']), 'Node: its JavaScript');
  t.equal(part(['RegExp:^a', '[JIT] tid 7']), 'Node and V8: native code');
});
