/** Whether a directory takes a file is asked with one, which is gone afterwards. */
import { mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { type Disk, probeRoom, roomOf, systemDisk } from '../../src/wal/index.ts';

t.test('a directory is asked, made when it is missing, and left as it was', (t) => {
  const dir = join(mkdtempSync(join(tmpdir(), 'reeve-room-')), 'spool');
  t.teardown(() => rmSync(join(dir, '..'), { recursive: true }));
  probeRoom(systemDisk, dir);
  t.strictSame(readdirSync(dir), []);
  mkdirSync(join(dir, 'room.wal.new'));
  t.throws(() => probeRoom(systemDisk, dir), { code: 'EISDIR' });
  t.end();
});

t.test('a disk that takes only a part says so, and keeps nothing of it', (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'reeve-room-'));
  t.teardown(() => rmSync(dir, { recursive: true }));
  const full: Disk = {
    ...systemDisk,
    write: (file, bytes, offset, length, position) =>
      position > 1000 ? 0 : systemDisk.write(file, bytes, offset, Math.min(length, 1001), position),
  };
  t.throws(() => probeRoom(full, dir), { code: 'ENOSPC' });
  t.strictSame(readdirSync(dir), []);
  t.end();
});

t.test('what the system says of a directory, or of the nearest above one that is not there', (t) => {
  const root = mkdtempSync(join(tmpdir(), 'reeve-room-'));
  t.teardown(() => rmSync(root, { recursive: true }));
  t.match(roomOf(root), { at: root, isThere: true, unwritable: undefined });
  t.ok(roomOf(root).free > 0);
  t.match(roomOf(join(root, 'a/b')), { at: root, isThere: false, unwritable: undefined });
  t.strictSame(readdirSync(root), [], 'nothing is made');
  symlinkSync(join(root, 'gone'), join(root, '000000000001.wal'));
  t.equal(roomOf(root).unwritable, undefined, 'a file that was dropped meanwhile');
  if (process.platform === 'linux') {
    symlinkSync('/proc/self', join(root, '000000000002.wal'));
    const path = join(root, '000000000002.wal');
    t.match(roomOf(root).unwritable, { path, code: /E(ACCES|ROFS|PERM)/ }, 'a file that was restored by another user');
  }
  t.end();
});
