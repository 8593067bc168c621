/** Whether a directory takes a file is asked with one, which is gone afterwards. */
import { mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { type Disk, probeRoom, systemDisk } from '../../src/wal/index.ts';

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
