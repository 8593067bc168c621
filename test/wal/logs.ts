/** A log on a simulated disk, and what its opening told. */
import { SimDisk } from '../../sim/disk.ts';
import { SeededRandom } from '../../sim/time.ts';
import {
  type Damage,
  type Disk,
  FRAME_HEAD,
  type Place,
  SegmentLog,
  type SegmentLogOptions,
} from '../../src/wal/index.ts';

export const DIR = '/log';

export interface Opened {
  readonly log: SegmentLog;
  readonly bodies: string[];
  readonly places: Place[];
  readonly heads: string[];
  readonly damage: Damage[];
}

/** Nothing of it is left to chance: nothing is written back before it is synced. */
export function calmDisk(seed = 1): SimDisk {
  return new SimDisk(new SeededRandom(seed), { writeBack: 0 });
}

export function open(disk: Disk, options: Partial<SegmentLogOptions> = {}): Opened {
  const told = { bodies: [] as string[], places: [] as Place[], heads: [] as string[], damage: [] as Damage[] };
  const log = SegmentLog.open(
    { dir: DIR, disk, kind: 'TEST', head: () => Buffer.from('owner'), random: new SeededRandom(7), ...options },
    ({ body, segment, offset }, head) => {
      told.bodies.push(body.toString());
      told.places.push({ segment, offset });
      told.heads.push(head.toString());
    },
    (each) => told.damage.push(each),
  );
  return { log, ...told };
}

export function append(log: SegmentLog, ...bodies: string[]): Place[] {
  return bodies.map((body) => {
    const frame = Buffer.concat([Buffer.alloc(FRAME_HEAD), Buffer.from(body)]);
    return log.append(frame, frame.length);
  });
}

export function read(log: SegmentLog, from: Place = { segment: 0, offset: 0 }): { bodies: string[]; damage: Damage[] } {
  const damage: Damage[] = [];
  const bodies: string[] = [];
  for (const { body } of log.frames(from, (each) => damage.push(each))) bodies.push(body.toString());
  return { bodies, damage };
}

export function pathOf(number: number): string {
  return `${DIR}/${String(number).padStart(12, '0')}.wal`;
}

/** Writes past the log. */
export function scribble(disk: Disk, path: string, position: number, bytes: Buffer): void {
  const file = disk.open(path, 'change');
  for (let at = 0; at < bytes.length; ) at += disk.write(file, bytes, at, bytes.length - at, position + at);
  disk.close(file);
}

export function truncate(disk: Disk, path: string, length: number): void {
  const file = disk.open(path, 'change');
  disk.truncate(file, length);
  disk.close(file);
}
