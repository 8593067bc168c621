/**
 * Loaded before a process of ours (`node --import`): ends it by SIGKILL at one call to the disk, such as the 37th append to its spool.
 * Nothing of the process knows of it: the calls of node:fs are wrapped from outside.
 *
 *   CRASH_AT=spool.append.torn:37      what · which call · when: `before` it, `torn` (half of it was done) or `after` : how many of these first
 *
 * What: the directory's name: spool, ledger, sums. The calls: create, append, sync, sync-dir, rename, remove, truncate. The sums are written in a
 * thread: this is loaded there as well. DuckDB writes their Parquet files without node:fs; that they are synced is a `sync`.
 */
import fs from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { basename, dirname } from 'node:path';
import threads from 'node:worker_threads';

const [point = '', count = '1'] = (process.env.CRASH_AT ?? '').split(':');
const [what, call, when] = point.split('.');
let left = Number(count);
/** Open files and directories by their number. */
const paths = new Map();

const isOf = (path) => basename(dirname(path)) === what || basename(path) === what;

function die() {
  process.kill(process.pid, 'SIGKILL');
  // The signal is on its way: nothing more is done.
  for (;;) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1000);
}

/** Runs the call, unless it is the one. */
function meet(name, path, run, half) {
  const isIt = name === call && path !== undefined && isOf(path) && --left === 0;
  if (!isIt) return run();
  if (when === 'torn' && half !== undefined) half();
  if (when !== 'after') die();
  const result = run();
  die();
  return result;
}

if (what !== undefined && call !== undefined) {
  const real = { ...fs };
  fs.openSync = (path, flags, mode) => {
    const name = String(path);
    const open = () => {
      const file = real.openSync(path, flags, mode);
      paths.set(file, name);
      return file;
    };
    return String(flags).includes('x') || String(flags).startsWith('w') ? meet('create', name, open) : open();
  };
  fs.closeSync = (file) => {
    paths.delete(file);
    return real.closeSync(file);
  };
  fs.writeSync = (file, bytes, offset, length, position) =>
    meet(
      'append',
      paths.get(file),
      () => real.writeSync(file, bytes, offset, length, position),
      () => real.writeSync(file, bytes, offset, Math.floor(length / 2), position),
    );
  fs.fdatasyncSync = (file) => meet('sync', paths.get(file), () => real.fdatasyncSync(file));
  fs.fdatasync = (file, done) => {
    const path = paths.get(file);
    const isIt = call === 'sync' && path !== undefined && isOf(path) && --left === 0;
    if (isIt && when !== 'after') die();
    return real.fdatasync(file, isIt ? die : done);
  };
  fs.writeFileSync = (file, text, options) =>
    meet(
      'append',
      paths.get(file),
      () => real.writeFileSync(file, text, options),
      () => real.writeSync(file, text.slice(0, text.length / 2)),
    );
  fs.fsyncSync = (file) => {
    const path = paths.get(file);
    const name = path !== undefined && basename(path) === what ? 'sync-dir' : 'sync';
    return meet(name, path, () => real.fsyncSync(file));
  };
  fs.ftruncateSync = (file, length) => meet('truncate', paths.get(file), () => real.ftruncateSync(file, length));
  fs.renameSync = (from, to) => meet('rename', String(from), () => real.renameSync(from, to));
  fs.rmSync = (path, options) => meet('remove', String(path), () => real.rmSync(path, options));
  if (what === 'sums')
    threads.Worker = class extends threads.Worker {
      constructor(url, options) {
        super(url, { ...options, execArgv: ['--import', import.meta.url] });
      }
    };
  syncBuiltinESMExports();
}
