/**
 * Histories of a log on a simulated disk: several lives of appending, syncing, rotating, dropping, rewriting and reading, each ended by a kill, a crash of
 * the machine or a close, at any call of the disk; some with a full disk, with failing calls, with bits that flip.
 *
 * What must hold: behind a kill all that was appended is there; behind a crash all that was synced is, in order, nothing invented, nothing twice; what is
 * missing of the rest is a tail, or was told; a flipped bit loses the frames it hit, and it is told; a log that was opened opens as it is again.
 */
import { type SimDisk, Stopped } from '../sim/disk.ts';
import type { Damage, Disk } from '../src/wal/index.ts';
import type { HistoryKind, Outcome } from './history.ts';
import type { Ending, Read } from './log-model.ts';
import { LogSteps } from './log-steps.ts';
import { Broken, describe, LogWorld } from './log-world.ts';

const LIVES_MAX = 5;
const STEPS_MAX = 30;

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
  readonly #w: LogWorld;
  readonly #steps: LogSteps;

  constructor(seed: number, through: (disk: SimDisk) => Disk) {
    this.#w = new LogWorld(seed, through);
    this.#steps = new LogSteps(this.#w);
  }

  get counts(): Outcome['counts'] {
    return this.#w.counts;
  }

  async run(): Promise<void> {
    const lives = 1 + this.#w.below(LIVES_MAX);
    this.#open('kill', this.#w.chance(0.1));
    for (let life = 0; life < lives; life++) {
      this.#w.counts.lives++;
      this.#w.isFaulty = this.#w.faultRate > 0;
      if (this.#w.chance(0.5)) this.#w.disk.stopAfter = this.#w.below(120);
      const isStopped = await this.#live();
      this.#w.isFaulty = false;
      if (isStopped) this.#w.isQuiet = false;
      this.#open(this.#end(), true);
      if (this.#w.chance(0.3)) this.#openAgain();
    }
  }

  /** Whether the process was stopped within a call. */
  async #live(): Promise<boolean> {
    try {
      for (let steps = this.#w.below(STEPS_MAX); steps > 0; steps--) await this.#steps.step();
      if (this.#w.chance(0.2)) this.#steps.close();
      return this.#w.disk.isStopped;
    } catch (cause) {
      if (cause instanceof Stopped) return true;
      throw cause;
    }
  }

  #end(): Ending {
    const isCrash = this.#w.chance(0.5);
    if (isCrash) {
      this.#w.counts.crashes++;
      this.#w.disk.crash();
      this.#w.isQuiet = false;
    } else {
      this.#w.counts.kills++;
      this.#w.disk.kill();
    }
    return isCrash ? 'crash' : 'kill';
  }

  /** Opens until it can be: with failures and stops within it at first. */
  #open(ending: Ending, isHard: boolean): void {
    const damage: Damage[] = [];
    const { faults } = this.#w.counts;
    let worst = ending;
    for (let tries = 0; ; tries++) {
      const read: Read[] = [];
      this.#w.isFaulty = isHard && tries < 3 && this.#w.faultRate > 0;
      if (isHard && tries < 2 && this.#w.chance(0.3)) this.#w.disk.stopAfter = this.#w.below(40);
      try {
        this.#w.log = this.#w.opened(read, damage);
        this.#w.disk.stopAfter = Number.POSITIVE_INFINITY;
        this.#w.isFaulty = false;
        const present = this.#w.log.segments.map(({ number }) => number);
        this.#w.hold(this.#w.model.judge(read, present, damage, worst), `behind a ${worst}`);
        if (this.#w.isQuiet && tries === 0)
          this.#w.hold(damage[0] && `damage was told where none is: ${describe(damage[0])}`, `behind a ${worst}`);
        if (damage.length > 0) this.#w.counts.damaged++;
        this.#w.model.adopt(read, present, worst);
        // Who is killed, or cannot open, between a failed sync and a good one leaves it to the kernel: the next crash may show it.
        this.#w.isLeft =
          faults !== this.#w.counts.faults || (worst === 'kill' && (this.#w.isLeft || this.#w.isInDoubt));
        this.#w.isInDoubt = false;
        this.#w.isQuiet = !this.#w.isLeft && !this.#w.model.entries.some(({ fate }) => fate === 'lost');
        this.#w.hasHitHead = false;
        this.#w.isDown = false;
        return;
      } catch (cause) {
        this.#w.isFaulty = false;
        this.#w.isQuiet = false;
        if (!(cause instanceof Stopped)) this.#w.expect(cause);
        // Somebody makes room.
        if (tries > 3) this.#w.disk.room = Number.POSITIVE_INFINITY;
        if (tries > 10) throw new Broken(`it cannot be opened: ${String(cause)}`);
        // It may have been a sync.
        for (const entry of this.#w.model.entries) if (!entry.isSynced && entry.fate === 'good') entry.fate = 'doubt';
        if (this.#end() === 'crash') worst = 'crash';
      }
    }
  }

  /** What was opened is certain: it opens as it is, behind anything. */
  #openAgain(): void {
    const isCertain = this.#w.isQuiet;
    this.#w.disk.room = Number.POSITIVE_INFINITY;
    const ending = this.#end();
    const damage: Damage[] = [];
    const read: Read[] = [];
    this.#w.log = this.#w.opened(read, damage);
    const present = this.#w.log.segments.map(({ number }) => number);
    const where = `behind a ${ending} at once after the opening`;
    this.#w.hold(this.#w.model.judge(read, present, damage, ending), where);
    if (isCertain) this.#w.hold(damage[0] && `damage again: ${describe(damage[0])}`, where);
    this.#w.model.adopt(read, present, ending);
    this.#w.isQuiet = isCertain;
  }
}
