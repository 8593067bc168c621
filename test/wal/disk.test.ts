/** The system's own disk: the same log on real files, and who writes a directory. */
import { spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { systemDisk } from '../../src/wal/index.ts';
import { append, open, read } from './logs.ts';

function folder(t: Test): string {
  const dir = mkdtempSync(join(tmpdir(), 'reeve-wal-'));
  t.teardown(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
}

t.test('a log on real files: appended, synced, rotated, rewritten, dropped, opened again', async (t) => {
  const dir = join(folder(t), 'deep/spool');
  const { log } = open(systemDisk, { dir });
  t.equal(statSync(dir).mode & 0o777, 0o700);
  append(log, 'a', 'b');
  log.rotate();
  append(log, 'c');
  await log.sync();
  log.rewrite(1, [Buffer.from('ab')]);
  log.rotate();
  append(log, 'd');
  log.syncNow();
  await log.sync();
  t.same(read(log), { bodies: ['ab', 'c', 'd'], damage: [] });
  log.dropBefore(2);
  log.close();
  t.same(readdirSync(dir), ['000000000002.wal', '000000000003.wal']);
  t.equal(statSync(join(dir, '000000000002.wal')).mode & 0o777, 0o600);
  const again = open(systemDisk, { dir, random: undefined as never });
  t.same([again.bodies, again.damage], [['c', 'd'], []]);
  again.log.close();
});

t.test('what was torn on real files is cut off', async (t) => {
  const dir = folder(t);
  const { log } = open(systemDisk, { dir });
  append(log, 'a');
  log.close();
  const path = join(dir, '000000000001.wal');
  writeFileSync(path, 'torn', { flag: 'a' });
  const again = open(systemDisk, { dir });
  t.match(again, { bodies: ['a'], damage: [{ what: 'torn tail', bytes: 4, path }] });
  again.log.close();
});

t.test('a directory is written by one process: who has the lock open has it', async (t) => {
  const dir = folder(t);
  const path = join(dir, 'lock');
  t.notOk(systemDisk.isLocked(path));
  for (const left of ['', 'garbage', '999999999 3\n', `${process.pid} 999999\n`, `${process.pid} 0\n`]) {
    writeFileSync(path, left);
    t.notOk(systemDisk.isLocked(path), `left behind: ${JSON.stringify(left)}`);
  }
  const { log } = open(systemDisk, { dir });
  t.ok(systemDisk.isLocked(path));
  t.throws(() => open(systemDisk, { dir }), { code: 'log-in-use', place: dir });
  log.close();
  t.notOk(systemDisk.isLocked(path));
  t.same(readdirSync(dir), ['000000000001.wal']);
});

t.test('a lock that another one took the place of is left to it', (t) => {
  const path = join(folder(t), 'lock');
  const unlock = systemDisk.lock(path);
  rmSync(path);
  writeFileSync(path, 'of another container');
  unlock?.();
  t.equal(readFileSync(path, 'latin1'), 'of another container');
  t.end();
});

t.test('another process that lives keeps the directory; one that was killed does not', async (t) => {
  const dir = folder(t);
  const path = join(dir, 'lock');
  const holder = `const { openSync, writeSync } = require('node:fs');
    const file = openSync(${JSON.stringify(path)}, 'wx');
    writeSync(file, process.pid + ' ' + file + '\\n');
    process.stdout.write('held'); setInterval(() => {}, 1000);`;
  const child = spawn(process.execPath, ['-e', holder], { stdio: ['ignore', 'pipe', 'inherit'] });
  t.teardown(() => child.kill('SIGKILL'));
  await new Promise((resolve) => child.stdout.once('data', resolve));
  t.match(readFileSync(path, 'latin1'), /^\d+ \d+\n$/);
  t.throws(() => open(systemDisk, { dir }), { code: 'log-in-use', remedy: /a directory of its own/ });
  const gone = new Promise((resolve) => child.once('close', resolve));
  child.kill('SIGKILL');
  await gone;
  open(systemDisk, { dir }).log.close();
});

t.test('a place that is no directory is told with the remedy', async (t) => {
  const dir = folder(t);
  writeFileSync(join(dir, 'file'), '');
  t.throws(() => open(systemDisk, { dir: join(dir, 'file') }), { code: 'log-unusable', message: /EEXIST/ });
  t.throws(() => open(systemDisk, { dir: join(dir, 'file/below') }), {
    message: /ENOTDIR/,
    remedy: /name a directory/,
  });
});

t.test('a directory that was removed is noticed when a segment is to begin', async (t) => {
  const dir = join(folder(t), 'spool');
  const { log } = open(systemDisk, { dir });
  append(log, 'a');
  rmSync(dir, { recursive: true });
  t.throws(() => log.rotate(), { code: 'log-unusable', message: /ENOENT/, remedy: /make it again/ });
  log.close();
});
