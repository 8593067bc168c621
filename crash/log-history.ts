/**
 * Histories of a log on a simulated disk: several lives of appending, syncing, rotating, dropping, rewriting and reading, each ended by a kill, a crash of
 * the machine or a close, at any call of the disk; some with a full disk, with failing calls, with bits that flip.
 *
 * What must hold: behind a kill all that was appended is there; behind a crash all that was synced is, in order, nothing invented, nothing twice; what is
 * missing of the rest is a tail, or was told; a flipped bit loses the frames it hit, and it is told; a log that was opened opens as it is again.
 */
import { type Call, SimDisk, Stopped } from '../sim/disk.ts';
import { SeededRandom } from '../sim/time.ts';
import { ReeveError } from '../src/core/index.ts';
import { type Damage, type Disk, FRAME_HEAD, type Frame, type Place, SegmentLog } from '../src/wal/index.ts';
import type { HistoryKind, Outcome } from './history.ts';
import { type Ending, type Entry, LogModel, type Read } from './log-model.ts';

const DIR = '/log';
const LIVES_MAX = 5;
const STEPS_MAX = 30;

class Broken extends Error {}

export const logHistory: HistoryKind = {
  name: 'log',
  describe: 'one log on a disk that writes sectors and names in any order, fails and fills up',
  run: (seed) => runOn(seed, (disk) => disk),
};

/** The same on a disk that does something else, to see that it is noticed. */
export async function runOn(seed: number, through: (disk: SimDisk) => Disk): Promise<Outcome> {
  const history = new LogHistory(seed, through);
  try {
    await history.run();
    return { violation: undefined, counts: history.counts };
  } catch (cause) {
    const violation = cause instanceof Broken ? cause.message : String((cause as Error).stack);
    return { violation, counts: history.counts };
  }
}

class LogHistory {
  readonly #random: SeededRandom;
  readonly #disk: SimDisk;
  /** As the log sees it. */
  readonly #seen: Disk;
  readonly #model = new LogModel();
  readonly #segmentBytes: number;
  readonly #faultRate: number;
  readonly #flipRate: number;
  readonly counts = { lives: 0, frames: 0, syncs: 0, kills: 0, crashes: 0, flips: 0, faults: 0, damaged: 0 };
  #log!: SegmentLog;
  #isFaulty = false;
  #nextId = 1;
  /** Nothing but kills happened since the last opening: then no damage may be told. */
  #isQuiet = true;
  #hasHitHead = false;
  /** A sync failed, and none was good since. */
  #isInDoubt = false;
  /** An earlier life left something in doubt, and the machine has not crashed since. */
  #isLeft = false;
  /** The process was stopped. */
  #isDown = false;

  constructor(seed: number, through: (disk: SimDisk) => Disk) {
    const random = new SeededRandom(seed);
    this.#random = random;
    this.#segmentBytes = 200 + this.#below(4000);
    this.#faultRate = this.#chance(0.4) ? 0.03 : 0;
    this.#flipRate = this.#chance(0.3) ? 0.08 : 0;
    this.#disk = new SimDisk(random.fork(), {
      isStale: this.#chance(0.3),
      writeBack: this.#chance(0.5) ? 0 : 0.1,
    });
    if (this.#chance(0.2)) this.#disk.room = 2000 + this.#below(12_000);
    this.#seen = through(this.#disk);
    this.#disk.fault = (call) => this.#fault(call);
  }

  async run(): Promise<void> {
    const lives = 1 + this.#below(LIVES_MAX);
    this.#open('kill', this.#chance(0.1));
    for (let life = 0; life < lives; life++) {
      this.counts.lives++;
      this.#isFaulty = this.#faultRate > 0;
      if (this.#chance(0.5)) this.#disk.stopAfter = this.#below(120);
      const isStopped = await this.#live();
      this.#isFaulty = false;
      if (isStopped) this.#isQuiet = false;
      this.#open(this.#end(), true);
      if (this.#chance(0.3)) this.#openAgain();
    }
  }

  /** Whether the process was stopped within a call. */
  async #live(): Promise<boolean> {
    try {
      for (let steps = this.#below(STEPS_MAX); steps > 0; steps--) await this.#step();
      if (this.#chance(0.2)) this.#close();
      return this.#disk.isStopped;
    } catch (cause) {
      if (cause instanceof Stopped) return true;
      throw cause;
    }
  }

  async #step(): Promise<void> {
    const dice = this.#random.float();
    if (dice < 0.55) this.#append();
    else if (dice < 0.72) await this.#sync();
    else if (dice < 0.78) this.#rotate();
    else if (dice < 0.84) this.#drop();
    else if (dice < 0.9) this.#rewrite();
    else if (dice < 0.96) this.#read();
    else if (this.#flipRate > 0) this.#flip();
  }

  #append(): void {
    const id = this.#nextId++;
    const body = bodyOf(id, this.#chance(0.1) ? this.#below(2500) : this.#below(120));
    const frame = Buffer.concat([Buffer.alloc(FRAME_HEAD), body]);
    const before = this.#log.segments.at(-1)?.number ?? 0;
    const add = ({ segment, offset }: Place, isHalf: boolean): void => {
      const next = offset + frame.length;
      this.#model.now(segment).push({ id, offset, next, isSynced: false, fate: 'good', isHit: false, isHalf });
    };
    try {
      add(this.#log.append(frame, frame.length), false);
      this.counts.frames++;
    } catch (cause) {
      if (cause instanceof Stopped) add(this.#log.end, true);
      this.#expect(cause);
    } finally {
      // Also one that nothing stands in.
      for (const { number } of this.#log.segments) if (number >= before) this.#model.at(number);
    }
  }

  /** Sometimes with others' work while it runs. */
  async #sync(): Promise<void> {
    const entries = this.#model.entries.filter(({ isSynced }) => !isSynced);
    const gone = [...this.#model.gone];
    const old = [...this.#model.segments.values()].map((segment) => ({
      segment,
      versions: segment.versions.slice(0, -1),
    }));
    const isNow = this.#chance(0.2);
    try {
      if (isNow) this.#log.syncNow();
      else {
        const done = this.#log.sync();
        done.catch(() => {});
        this.#also();
        await done;
      }
    } catch (cause) {
      this.#syncFailed(cause);
      return;
    }
    this.counts.syncs++;
    this.#isInDoubt = false;
    for (const entry of entries) {
      entry.isSynced = true;
      if (entry.fate === 'doubt') entry.fate = 'good';
    }
    for (const { segment, versions } of old)
      segment.versions = segment.versions.filter((each) => !versions.includes(each));
    this.#model.gone = this.#model.gone.filter((each) => !gone.includes(each));
    const { mayBeBack, gone: left } = this.#model;
    this.#model.mayBeBack = {
      kill: Math.min(mayBeBack.kill, left.length),
      crash: Math.min(mayBeBack.crash, left.length),
    };
  }

  #syncFailed(cause: unknown): void {
    const isLost = cause instanceof ReeveError && cause.code === 'log-lost';
    for (const entry of this.#model.entries)
      if (!entry.isSynced && entry.fate !== 'lost')
        entry.fate = isLost && (entry.fate === 'doubt' || entry.isHit) ? 'lost' : 'doubt';
    if (!isLost) this.#expect(cause);
    this.#isQuiet = false;
    this.#isInDoubt = true;
  }

  /** While a sync runs: it need not have it. */
  #also(): void {
    if (this.#chance(0.3)) this.#append();
    if (this.#chance(0.1)) this.#rotate();
    if (this.#chance(0.1)) this.#drop();
    if (this.#chance(0.1)) this.#rewrite();
  }

  #rotate(): void {
    try {
      this.#log.rotate();
    } catch (cause) {
      this.#expect(cause);
    } finally {
      for (const { number } of this.#log.segments) this.#model.at(number);
    }
  }

  #drop(): void {
    const { segments } = this.#log;
    const number = (segments[this.#below(segments.length)] as { number: number }).number + this.#below(2);
    const isMany = segments.filter((each, i) => i < segments.length - 1 && each.number < number);
    let failed: unknown;
    try {
      this.#log.dropBefore(number);
    } catch (cause) {
      failed = cause;
    }
    const isWhole = failed === undefined;
    this.#isDown = failed instanceof Stopped;
    if (isMany.length > 0) this.#dropped(isMany, isWhole);
    // It may have been the sync that comes before.
    if (!isWhole) this.#syncFailed(failed);
  }

  #dropped(isMany: readonly { readonly number: number }[], isWhole: boolean): void {
    const { gone, mayBeBack } = this.#model;
    const present = isWhole ? new Set<number>() : new Set(this.#log.segments.map((each) => each.number));
    for (const { number: dropped } of isMany) {
      // Who is stopped in a removal may or may not have removed it.
      if (present.has(dropped)) {
        if (this.#isDown) gone.push([dropped, this.#model.at(dropped)]);
        else continue;
      } else gone.push([dropped, this.#model.at(dropped)]);
      this.#model.segments.delete(dropped);
    }
    const left = isMany.filter((each) => present.has(each.number)).length;
    mayBeBack.crash = Math.max(1, this.#isDown ? left + 1 : 1);
    mayBeBack.kill = this.#isDown ? left : mayBeBack.kill;
  }

  #rewrite(): void {
    const full = this.#log.segments.slice(0, -1);
    const segment = full[this.#below(full.length)];
    if (segment === undefined) return;
    const count = this.#below(this.#model.now(segment.number).length + 1);
    let offset = segment.begin;
    const entries: Entry[] = [];
    const bodies: Buffer[] = [];
    for (let i = 0; i < count; i++) {
      const id = this.#nextId++;
      const body = bodyOf(id, this.#below(100));
      bodies.push(body);
      const next = offset + FRAME_HEAD + body.length;
      entries.push({ id, offset, next, isSynced: true, fate: 'good', isHit: false, isHalf: false });
      offset = next;
    }
    const model = this.#model.at(segment.number);
    try {
      this.#log.rewrite(segment.number, bodies);
      model.versions.push(entries);
    } catch (cause) {
      if (cause instanceof Stopped) {
        model.versions.push(entries);
        model.isEither = true;
      }
      this.#expect(cause);
    }
  }

  #read(): void {
    const { segments } = this.#log;
    const from = (segments[this.#below(segments.length)] as { number: number }).number;
    const damage: Damage[] = [];
    const read: Read[] = [];
    for (const frame of this.#log.frames({ segment: from, offset: 0 }, (each) => damage.push(each)))
      read.push(readOf(frame));
    const part = new LogModel();
    for (const [number, segment] of this.#model.segments) if (number >= from) part.segments.set(number, segment);
    this.#hold(
      part.judge(
        read,
        segments.map(({ number }) => number),
        damage,
        'kill',
      ),
      'while it is open',
    );
    if (this.#isQuiet)
      this.#hold(damage[0] && `damage was told where none is: ${describe(damage[0])}`, 'while it is open');
  }

  #flip(): void {
    const segments = [...this.#model.segments.keys()];
    const number = segments[this.#below(segments.length)];
    if (number === undefined || this.#random.float() > this.#flipRate * 5) return;
    const path = `${DIR}/${String(number).padStart(12, '0')}.wal`;
    const bytes = this.#disk.bytes(path);
    if (bytes <= 0) return;
    const bit = this.#below(8 * bytes);
    const at = Math.floor(bit / 8);
    const begin = this.#log.segments.find((each) => each.number === number)?.begin ?? 0;
    // Two that hit both copies of a head cost the segment.
    if (at < begin && this.#hasHitHead) return;
    this.#hasHitHead ||= at < begin;
    this.#disk.flip(path, bit);
    this.counts.flips++;
    this.#isQuiet = false;
    for (const entry of this.#model.at(number).versions.flat())
      if (entry.offset <= at && at < entry.next) entry.isHit = true;
  }

  #close(): void {
    try {
      this.#log.close();
    } catch (cause) {
      this.#syncFailed(cause);
    }
  }

  #end(): Ending {
    const isCrash = this.#chance(0.5);
    if (isCrash) {
      this.counts.crashes++;
      this.#disk.crash();
      this.#isQuiet = false;
    } else {
      this.counts.kills++;
      this.#disk.kill();
    }
    return isCrash ? 'crash' : 'kill';
  }

  /** Opens until it can be: with failures and stops within it at first. */
  #open(ending: Ending, isHard: boolean): void {
    const damage: Damage[] = [];
    const { faults } = this.counts;
    let worst = ending;
    for (let tries = 0; ; tries++) {
      const read: Read[] = [];
      this.#isFaulty = isHard && tries < 3 && this.#faultRate > 0;
      if (isHard && tries < 2 && this.#chance(0.3)) this.#disk.stopAfter = this.#below(40);
      try {
        this.#log = this.#opened(read, damage);
        this.#disk.stopAfter = Number.POSITIVE_INFINITY;
        this.#isFaulty = false;
        const present = this.#log.segments.map(({ number }) => number);
        this.#hold(this.#model.judge(read, present, damage, worst), `behind a ${worst}`);
        if (this.#isQuiet && tries === 0)
          this.#hold(damage[0] && `damage was told where none is: ${describe(damage[0])}`, `behind a ${worst}`);
        if (damage.length > 0) this.counts.damaged++;
        this.#model.adopt(read, present, worst);
        // Who failed to open between a failed sync and a good one leaves it to the kernel, as who is killed there does.
        // Who is killed, or cannot open, between a failed sync and a good one leaves it to the kernel: the next crash may show it.
        this.#isLeft = faults !== this.counts.faults || (worst === 'kill' && (this.#isLeft || this.#isInDoubt));
        this.#isInDoubt = false;
        this.#isQuiet = !this.#isLeft && !this.#model.entries.some(({ fate }) => fate === 'lost');
        this.#hasHitHead = false;
        this.#isDown = false;
        return;
      } catch (cause) {
        this.#isFaulty = false;
        this.#isQuiet = false;
        if (!(cause instanceof Stopped)) this.#expect(cause);
        // Somebody makes room.
        if (tries > 3) this.#disk.room = Number.POSITIVE_INFINITY;
        if (tries > 10) throw new Broken(`it cannot be opened: ${String(cause)}`);
        // It may have been a sync.
        for (const entry of this.#model.entries) if (!entry.isSynced && entry.fate === 'good') entry.fate = 'doubt';
        if (this.#end() === 'crash') worst = 'crash';
      }
    }
  }

  /** What was opened is certain: it opens as it is, behind anything. */
  #openAgain(): void {
    const isCertain = this.#isQuiet;
    this.#disk.room = Number.POSITIVE_INFINITY;
    const ending = this.#end();
    const damage: Damage[] = [];
    const read: Read[] = [];
    this.#log = this.#opened(read, damage);
    const present = this.#log.segments.map(({ number }) => number);
    const where = `behind a ${ending} at once after the opening`;
    this.#hold(this.#model.judge(read, present, damage, ending), where);
    if (isCertain) this.#hold(damage[0] && `damage again: ${describe(damage[0])}`, where);
    this.#model.adopt(read, present, ending);
    this.#isQuiet = isCertain;
  }

  #opened(read: Read[], damage: Damage[]): SegmentLog {
    return SegmentLog.open(
      {
        dir: DIR,
        disk: this.#seen,
        kind: 'TEST',
        head: () => Buffer.from('owner'),
        segmentBytes: this.#segmentBytes,
        random: this.#random,
      },
      (frame) => read.push(readOf(frame)),
      (each) => damage.push(each),
    );
  }

  /** An error that the disk was told to make, or the end. */
  #expect(cause: unknown): void {
    if (cause instanceof Stopped) throw cause;
    const { code } = cause as NodeJS.ErrnoException;
    const inner = (cause as Error).cause as NodeJS.ErrnoException | undefined;
    if (!['ENOSPC', 'EIO'].includes(code ?? '') && !['ENOSPC', 'EIO'].includes(inner?.code ?? '')) throw cause;
    this.#isQuiet = false;
  }

  #fault(call: Call): string | undefined {
    if (!this.#isFaulty || this.#random.float() >= this.#faultRate) return undefined;
    const code = FAULTS[call];
    if (code === undefined) return undefined;
    this.counts.faults++;
    this.#isQuiet = false;
    return code;
  }

  #hold(wrong: string | undefined, where: string): void {
    if (wrong !== undefined) throw new Broken(`${wrong} (${where})`);
  }

  #below(count: number): number {
    return Math.floor(this.#random.float() * count);
  }

  #chance(share: number): boolean {
    return this.#random.float() < share;
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
function bodyOf(id: number, more: number): Buffer {
  const body = Buffer.alloc(4 + more);
  body.writeUInt32BE(id);
  for (let at = 4, byte = id; at < body.length; at++) body[at] = byte = (byte * 31 + 7) & 0xff;
  return body;
}

function readOf({ segment, offset, next, body }: Frame): Read {
  const id = body.readUInt32BE(0);
  if (!bodyOf(id, body.length - 4).equals(body))
    throw new Broken(`the frame at ${segment}:${offset} is not what was appended`);
  return { segment, offset, next, id };
}

function describe({ what, segment, offset, bytes, detail }: Damage): string {
  return `${what}, ${bytes} bytes at ${segment}:${offset}, ${detail}`;
}
