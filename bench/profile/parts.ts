/** Whose a sample of perf is: the kernel's, by the system call it was in; Node's; or that of a room of Reeve, by the line it stands at in the bundle. */
import { readFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Of a call stack. */
export interface Frame {
  readonly symbol: string;
  /** The file or the kind of memory the code stands in. */
  readonly object: string;
}

/** Each with its name among the figures, in the order they are shown; behind them the rooms, by their names. */
export const PARTS = {
  'kernel: write': 'kernel_write',
  'kernel: read': 'kernel_read',
  'kernel: epoll': 'kernel_epoll',
  'kernel: other': 'kernel_other',
  'Node and V8: native code': 'node_native',
  'Node: its JavaScript': 'node_script',
  'C library': 'c_library',
  clock: 'clock',
  'other code': 'other_code',
  'other threads': 'other_threads',
  dependencies: 'dependencies',
  'not attributed': 'unattributed',
} as const satisfies Readonly<Record<string, string>>;

/** The room of a line of a file; undefined where it is of none. */
export type RoomOf = (file: string, line: number) => string | undefined;

const ROOT: string = join(import.meta.dirname, '../..');

/** `[kernel.kallsyms]`, `[nf_conntrack]`: what stands in brackets is the kernel or a module of it, but for what these name. */
const KERNEL = /^\[(?!JIT|anon|heap|stack|unknown|vdso|vsyscall)|\.ko(\.\w+)?$/;
const C_LIBRARY = /\/(libc|ld|libm|libgcc_s|libstdc\+\+)[-.][^/]*$/;
const SYSTEM_CALL = /^(?:__x64_sys_|__arm64_sys_|ksys_)(\w+)/;
/** With their vectors and positions: `readv`, `pwrite64`; not `readlink` or `readahead`. */
const SHOWN_CALL = /^(?:p?(write|read)(?:64|v|v2)?|(epoll)_\w+)$/;

export const isKernel = ({ object }: Frame): boolean => KERNEL.test(object);

/** `sys_` and its name; undefined where a frame is none. */
export const systemCallOf = ({ symbol }: Frame): string | undefined => SYSTEM_CALL.exec(symbol)?.[1];

/** @param frames the innermost first; at least one. */
export function partOf(frames: readonly Frame[], roomOf: RoomOf): string {
  const innermost = frames[0] as Frame;
  const { symbol, object } = innermost;
  if (isKernel(innermost)) return `kernel: ${shownCallOf(frames)}`;
  if (object.startsWith('[JIT]') || object.endsWith('.map')) return scriptOf(symbol, roomOf);
  if (/(^|\/)node$/.test(object)) return 'Node and V8: native code';
  if (object === '[vdso]') return 'clock';
  if (object === '[unknown]') return 'not attributed';
  return C_LIBRARY.test(object) ? 'C library' : 'other code';
}

/** `other` also on the way into a call and out of it, and in an interrupt. */
function shownCallOf(frames: readonly Frame[]): string {
  const [, transfer, epoll] = SHOWN_CALL.exec(frames.map(systemCallOf).find((name) => name !== undefined) ?? '') ?? [];
  return transfer ?? epoll ?? 'other';
}

/** `JS:*'name file:///work/dist/chunk.mjs:242:7`: a mark of how it was compiled, its name, where it stands. */
function scriptOf(symbol: string, roomOf: RoomOf): string {
  const [, url = '', line = ''] = /^JS:.* (\S+):(\d+):\d+$/.exec(symbol) ?? [];
  if (url.startsWith('node:')) return 'Node: its JavaScript';
  if (!url.startsWith('file:')) return 'Node and V8: native code';
  return roomOf(fileURLToPath(url), Number(line)) ?? 'dependencies';
}

/** By the path of a source; in the bundle, which says above each module which file it was: `// src/wire/bytes.ts`. */
export function roomsOfCheckout(root: string = ROOT): RoomOf {
  const files = new Map<string, readonly (string | undefined)[]>();
  return (file, line) => {
    const path = relative(root, file);
    if (!path.startsWith('dist/')) return roomOfPath(path);
    let rooms = files.get(file);
    if (rooms === undefined) files.set(file, (rooms = roomsOf(readFileSync(file, 'utf8'))));
    return rooms[line - 1];
  };
}

const roomOfPath = (path: string): string | undefined => /^src\/([\w-]+)\//.exec(path)?.[1];

/** By line. */
export function roomsOf(text: string): (string | undefined)[] {
  let room: string | undefined;
  return text.split('\n').map((line) => {
    const module = /^\/\/ ((?:src|node_modules)\/\S+)$/.exec(line)?.[1];
    if (module !== undefined) room = roomOfPath(module);
    return room;
  });
}
