/** How far a log goes, looked at without opening it. */
import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { type Disk, FRAME_HEAD, reaches, SegmentLog, systemDisk } from '../../src/wal/index.ts';

t.test('a log reaches the places it holds, and no further; what was put aside counts', async (t) => {
  const root = mkdtempSync(join(tmpdir(), 'reeve-reach-'));
  t.teardown(() => rmSync(root, { recursive: true, force: true }));
  const dir = join(root, 'log');
  t.notOk(reaches(systemDisk, dir, { segment: 1, offset: 0 }), 'one that is not there reaches nothing');
  const log = SegmentLog.open(
    { dir, disk: systemDisk, kind: 'TEST', head: () => Buffer.alloc(0) },
    () => {},
    () => {},
  );
  const frame = Buffer.alloc(FRAME_HEAD + 10, 1);
  log.append(frame, frame.length);
  const { segment, offset } = log.end;
  writeFileSync(join(dir, 'notes'), 'of a person');
  log.close();
  t.ok(reaches(systemDisk, dir, { segment, offset }));
  t.ok(reaches(systemDisk, dir, { segment: segment - 1, offset: 10 ** 9 }), 'a segment before the last');
  t.notOk(reaches(systemDisk, dir, { segment, offset: 10 ** 9 }), 'beyond its end');
  t.notOk(reaches(systemDisk, dir, { segment: segment + 1, offset: 0 }));
  const path = join(dir, `${String(segment).padStart(12, '0')}.wal`);
  renameSync(path, `${path}.corrupt`);
  t.ok(reaches(systemDisk, dir, { segment, offset: 10 ** 9 }), 'nobody knows how far what is put aside went');
  const failing: Disk = {
    ...systemDisk,
    list() {
      throw Object.assign(new Error('EIO'), { code: 'EIO' });
    },
  };
  t.throws(() => reaches(failing, dir, { segment, offset: 0 }), /EIO/);
});
