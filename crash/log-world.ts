/** What a history of a log has in its hands: a disk, the log on it, the model of what it may show, and chance. */
import { type Call, SimDisk, Stopped } from '../sim/disk.ts';
import { SeededRandom } from '../sim/time.ts';
import { ReeveError } from '../src/core/index.ts';
import { type Damage, type Disk, type Frame, SegmentLog } from '../src/wal/index.ts';
import { LogModel, type Read } from './log-model.ts';

export const DIR = '/log';

/** What no history may show. */
export class Broken extends Error {}

export class LogWorld {
  readonly random: SeededRandom;
  readonly disk: SimDisk;
  /** As the log sees it. */
  readonly seen: Disk;
  readonly model = new LogModel();
  readonly segmentBytes: number;
  readonly faultRate: number;
  readonly flipRate: number;
  readonly counts = { lives: 0, frames: 0, syncs: 0, kills: 0, crashes: 0, flips: 0, faults: 0, damaged: 0 };
  log!: SegmentLog;
  isFaulty = false;
  nextId = 1;
  /** Nothing but kills happened since the last opening: then no damage may be told. */
  isQuiet = true;
  hasHitHead = false;
  /** A sync failed, and none was good since. */
  isInDoubt = false;
  /** An earlier life left something in doubt, and the machine has not crashed since. */
  isLeft = false;
  /** The process was stopped. */
  isDown = false;

  constructor(seed: number, through: (disk: SimDisk) => Disk) {
    const random = new SeededRandom(seed);
    this.random = random;
    this.segmentBytes = 200 + this.below(4000);
    this.faultRate = this.chance(0.4) ? 0.03 : 0;
    this.flipRate = this.chance(0.3) ? 0.08 : 0;
    this.disk = new SimDisk(random.fork(), {
      isStale: this.chance(0.3),
      writeBack: this.chance(0.5) ? 0 : 0.1,
    });
    if (this.chance(0.2)) this.disk.room = 2000 + this.below(12_000);
    this.seen = through(this.disk);
    this.disk.fault = (call) => this.fault(call);
  }

  syncFailed(cause: unknown): void {
    const isLost = cause instanceof ReeveError && cause.code === 'log-lost';
    for (const entry of this.model.entries)
      if (!entry.isSynced && entry.fate !== 'lost')
        entry.fate = isLost && (entry.fate === 'doubt' || entry.isHit) ? 'lost' : 'doubt';
    if (!isLost) this.expect(cause);
    this.isQuiet = false;
    this.isInDoubt = true;
  }

  opened(read: Read[], damage: Damage[]): SegmentLog {
    return SegmentLog.open(
      {
        dir: DIR,
        disk: this.seen,
        kind: 'TEST',
        head: () => Buffer.from('owner'),
        segmentBytes: this.segmentBytes,
        random: this.random,
      },
      (frame) => read.push(readOf(frame)),
      (each) => damage.push(each),
    );
  }

  /** An error that the disk was told to make, or the end. */
  expect(cause: unknown): void {
    if (cause instanceof Stopped) throw cause;
    const { code } = cause as NodeJS.ErrnoException;
    const inner = (cause as Error).cause as NodeJS.ErrnoException | undefined;
    if (!['ENOSPC', 'EIO'].includes(code ?? '') && !['ENOSPC', 'EIO'].includes(inner?.code ?? '')) throw cause;
    this.isQuiet = false;
  }

  fault(call: Call): string | undefined {
    if (!this.isFaulty || this.random.float() >= this.faultRate) return undefined;
    const code = FAULTS[call];
    if (code === undefined) return undefined;
    this.counts.faults++;
    this.isQuiet = false;
    return code;
  }

  hold(wrong: string | undefined, where: string): void {
    if (wrong !== undefined) throw new Broken(`${wrong} (${where})`);
  }

  below(count: number): number {
    return Math.floor(this.random.float() * count);
  }

  chance(share: number): boolean {
    return this.random.float() < share;
  }
}

/** What of a disk fails, and how. */
const FAULTS: Partial<Record<Call, string>> = {
  open: 'ENOSPC',
  write: 'ENOSPC',
  truncate: 'EIO',
  sync: 'EIO',
  syncNow: 'EIO',
  syncDir: 'EIO',
  syncDirNow: 'EIO',
  rename: 'EIO',
  remove: 'EIO',
};

/** Its id, and as many bytes that follow from it. */
export function bodyOf(id: number, more: number): Buffer {
  const body = Buffer.alloc(4 + more);
  body.writeUInt32BE(id);
  for (let at = 4, byte = id; at < body.length; at++) body[at] = byte = (byte * 31 + 7) & 0xff;
  return body;
}

export function readOf({ segment, offset, next, body }: Frame): Read {
  const id = body.readUInt32BE(0);
  if (!bodyOf(id, body.length - 4).equals(body))
    throw new Broken(`the frame at ${segment}:${offset} is not what was appended`);
  return { segment, offset, next, id };
}

export function describe({ what, segment, offset, bytes, detail }: Damage): string {
  return `${what}, ${bytes} bytes at ${segment}:${offset}, ${detail}`;
}
