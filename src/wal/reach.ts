/** How far a log goes, asked before it is opened: an opening begins a segment, and then it would always go a little further. */
import { join } from 'node:path';
import type { Disk } from './disk.ts';
import type { Place } from './scan.ts';
import { segmentName, segmentNumber } from './segment.ts';

/** Whether the log in a directory goes as far as a place; what was put aside counts as there. */
export function reaches(disk: Disk, dir: string, { segment, offset }: Place): boolean {
  const names = namesIn(disk, dir);
  if (names.some((name) => (segmentNumber(name.replace(/\.corrupt$/, '')) ?? 0) > segment)) return true;
  const name = segmentName(segment);
  if (!names.includes(name)) return names.includes(`${name}.corrupt`);
  const file = disk.open(join(dir, name), 'read');
  try {
    return disk.size(file) >= offset;
  } finally {
    disk.close(file);
  }
}

function namesIn(disk: Disk, dir: string): string[] {
  try {
    return disk.list(dir);
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw cause;
  }
}
