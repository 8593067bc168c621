/** Whose a sample of perf is: the kernel's, by the system call it was in; Node's; or that of a room of Reeve, by the line it stands at in the bundle. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** Of a call stack. */
export interface Frame {
  readonly symbol: string;
  /** The file or the kind of memory the code stands in. */
  readonly object: string;
}

/** In the order they are shown; behind them the rooms, by their names. */
export const PARTS = [
  'kernel: write',
  'kernel: read',
  'kernel: epoll',
  'kernel: other',
  'Node and V8: native code',
  'Node: its JavaScript',
  'C library',
  'other threads',
  'dependencies',
] as const;

/** The room of a line of the bundle; undefined where it is of none. */
export type RoomOf = (file: string, line: number) => string | undefined;

/** @param frames the innermost first; at least one. */
export function partOf(frames: readonly Frame[], roomOf: RoomOf): string {
  const { symbol, object } = frames[0] as Frame;
  if (object.includes('kernel')) return `kernel: ${systemCallOf(frames)}`;
  if (object.startsWith('[JIT]') || object.endsWith('.map')) return scriptOf(symbol, roomOf);
  return /(^|\/)node$/.test(object) ? 'Node and V8: native code' : 'C library';
}

/** `epoll_pwait` and its like are one. */
function systemCallOf(frames: readonly Frame[]): string {
  for (const { symbol } of frames) {
    const name = /^(?:__x64_sys_|__arm64_sys_|ksys_)(\w+)/.exec(symbol)?.[1];
    if (name !== undefined) return /^(write|read|epoll)/.exec(name)?.[1] ?? 'other';
  }
  return 'other';
}

/** `JS:*'name file:///work/dist/chunk.mjs:242:7`: a mark of how it was compiled, its name, where it stands. */
function scriptOf(symbol: string, roomOf: RoomOf): string {
  const [, url = '', line = ''] = /^JS:.* (\S+):(\d+):\d+$/.exec(symbol) ?? [];
  if (url.startsWith('node:')) return 'Node: its JavaScript';
  if (!url.startsWith('file:')) return 'Node and V8: native code';
  return roomOf(fileURLToPath(url), Number(line)) ?? 'dependencies';
}

/** The bundle says above each module which file it was: `// src/wire/bytes.ts`. */
export function roomsOfBundle(): RoomOf {
  const files = new Map<string, readonly (string | undefined)[]>();
  return (file, line) => {
    let rooms = files.get(file);
    if (rooms === undefined) files.set(file, (rooms = roomsOf(readFileSync(file, 'utf8'))));
    return rooms[line - 1];
  };
}

/** By line. */
export function roomsOf(text: string): (string | undefined)[] {
  let room: string | undefined;
  return text.split('\n').map((line) => {
    const module = /^\/\/ (\S+)$/.exec(line)?.[1];
    if (module !== undefined) room = /^src\/(\w+)\//.exec(module)?.[1];
    return room;
  });
}
