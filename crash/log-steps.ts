/** What the owner of a log does, by chance, and what the model is told of it. */
import { Stopped } from '../sim/disk.ts';
import { type Damage, FRAME_HEAD, type Place } from '../src/wal/index.ts';
import { type Entry, LogModel, type Read } from './log-model.ts';
import { bodyOf, DIR, describe, type LogWorld, readOf } from './log-world.ts';

export class LogSteps {
  readonly #w: LogWorld;

  constructor(world: LogWorld) {
    this.#w = world;
  }

  /** One of them, by chance. */
  async step(): Promise<void> {
    const dice = this.#w.random.float();
    if (dice < 0.55) this.#append();
    else if (dice < 0.72) await this.#sync();
    else if (dice < 0.78) this.#rotate();
    else if (dice < 0.84) this.#drop();
    else if (dice < 0.9) this.#rewrite();
    else if (dice < 0.96) this.#read();
    else if (this.#w.flipRate > 0) this.#flip();
  }

  #append(): void {
    const id = this.#w.nextId++;
    const body = bodyOf(id, this.#w.chance(0.1) ? this.#w.below(2500) : this.#w.below(120));
    const frame = Buffer.concat([Buffer.alloc(FRAME_HEAD), body]);
    const before = this.#w.log.segments.at(-1)?.number ?? 0;
    const add = ({ segment, offset }: Place, isHalf: boolean): void => {
      const next = offset + frame.length;
      this.#w.model.now(segment).push({ id, offset, next, isSynced: false, fate: 'good', isHit: false, isHalf });
    };
    try {
      add(this.#w.log.append(frame, frame.length), false);
      this.#w.counts.frames++;
    } catch (cause) {
      if (cause instanceof Stopped) add(this.#w.log.end, true);
      this.#w.expect(cause);
    } finally {
      // Also one that nothing stands in.
      for (const { number } of this.#w.log.segments) if (number >= before) this.#w.model.at(number);
    }
  }

  /** Sometimes with others' work while it runs. */
  async #sync(): Promise<void> {
    const entries = this.#w.model.entries.filter(({ isSynced }) => !isSynced);
    const gone = [...this.#w.model.gone];
    const old = [...this.#w.model.segments.values()].map((segment) => ({
      segment,
      versions: segment.versions.slice(0, -1),
    }));
    const isNow = this.#w.chance(0.2);
    try {
      if (isNow) this.#w.log.syncNow();
      else {
        const done = this.#w.log.sync();
        done.catch(() => {});
        for (let turns = this.#w.below(6); turns > 0; turns--) await undefined;
        this.#also();
        await done;
      }
    } catch (cause) {
      this.#w.syncFailed(cause);
      return;
    }
    this.#w.counts.syncs++;
    this.#w.isInDoubt = false;
    for (const entry of entries) {
      entry.isSynced = true;
      if (entry.fate === 'doubt') entry.fate = 'good';
    }
    for (const { segment, versions } of old)
      segment.versions = segment.versions.filter((each) => !versions.includes(each));
    this.#w.model.gone = this.#w.model.gone.filter((each) => !gone.includes(each));
    const { mayBeBack, gone: left } = this.#w.model;
    this.#w.model.mayBeBack = {
      kill: Math.min(mayBeBack.kill, left.length),
      crash: Math.min(mayBeBack.crash, left.length),
    };
  }

  /** While a sync runs: it need not have it. */
  #also(): void {
    if (this.#w.chance(0.3)) this.#append();
    if (this.#w.chance(0.1)) this.#rotate();
    if (this.#w.chance(0.1)) this.#drop();
    if (this.#w.chance(0.1)) this.#rewrite();
  }

  #rotate(): void {
    try {
      this.#w.log.rotate();
    } catch (cause) {
      this.#w.expect(cause);
    } finally {
      for (const { number } of this.#w.log.segments) this.#w.model.at(number);
    }
  }

  #drop(): void {
    const { segments } = this.#w.log;
    const number = (segments[this.#w.below(segments.length)] as { number: number }).number + this.#w.below(2);
    const isMany = segments.filter((each, i) => i < segments.length - 1 && each.number < number);
    let failed: unknown;
    try {
      this.#w.log.dropBefore(number);
    } catch (cause) {
      failed = cause;
    }
    const isWhole = failed === undefined;
    this.#w.isDown = failed instanceof Stopped;
    if (isMany.length > 0) this.#dropped(isMany, isWhole);
    // It may have been the sync that comes before.
    if (!isWhole) this.#w.syncFailed(failed);
  }

  #dropped(isMany: readonly { readonly number: number }[], isWhole: boolean): void {
    const { gone, mayBeBack } = this.#w.model;
    const present = isWhole ? new Set<number>() : new Set(this.#w.log.segments.map((each) => each.number));
    for (const { number: dropped } of isMany) {
      // Who is stopped in a removal may or may not have removed it.
      if (present.has(dropped)) {
        if (this.#w.isDown) gone.push([dropped, this.#w.model.at(dropped)]);
        else continue;
      } else gone.push([dropped, this.#w.model.at(dropped)]);
      this.#w.model.segments.delete(dropped);
    }
    const left = isMany.filter((each) => present.has(each.number)).length;
    mayBeBack.crash = Math.max(1, this.#w.isDown ? left + 1 : 1);
    mayBeBack.kill = this.#w.isDown ? left : mayBeBack.kill;
  }

  #rewrite(): void {
    const full = this.#w.log.segments.slice(0, -1);
    const segment = full[this.#w.below(full.length)];
    if (segment === undefined) return;
    const count = this.#w.below(this.#w.model.now(segment.number).length + 1);
    let offset = segment.begin;
    const entries: Entry[] = [];
    const bodies: Buffer[] = [];
    for (let i = 0; i < count; i++) {
      const id = this.#w.nextId++;
      const body = bodyOf(id, this.#w.below(100));
      bodies.push(body);
      const next = offset + FRAME_HEAD + body.length;
      entries.push({ id, offset, next, isSynced: true, fate: 'good', isHit: false, isHalf: false });
      offset = next;
    }
    const model = this.#w.model.at(segment.number);
    try {
      this.#w.log.rewrite(segment.number, bodies);
      model.versions.push(entries);
    } catch (cause) {
      if (cause instanceof Stopped) {
        model.versions.push(entries);
        model.isEither = true;
      }
      this.#w.expect(cause);
    }
  }

  #read(): void {
    const { segments } = this.#w.log;
    const from = (segments[this.#w.below(segments.length)] as { number: number }).number;
    const damage: Damage[] = [];
    const read: Read[] = [];
    for (const frame of this.#w.log.frames({ segment: from, offset: 0 }, (each) => damage.push(each)))
      read.push(readOf(frame));
    const part = new LogModel();
    for (const [number, segment] of this.#w.model.segments) if (number >= from) part.segments.set(number, segment);
    this.#w.hold(
      part.judge(
        read,
        segments.map(({ number }) => number),
        damage,
        'kill',
      ),
      'while it is open',
    );
    if (this.#w.isQuiet)
      this.#w.hold(damage[0] && `damage was told where none is: ${describe(damage[0])}`, 'while it is open');
  }

  #flip(): void {
    const segments = [...this.#w.model.segments.keys()];
    const number = segments[this.#w.below(segments.length)];
    if (number === undefined || this.#w.random.float() > this.#w.flipRate * 5) return;
    const path = `${DIR}/${String(number).padStart(12, '0')}.wal`;
    const bytes = this.#w.disk.bytes(path);
    if (bytes <= 0) return;
    const bit = this.#w.below(8 * bytes);
    const at = Math.floor(bit / 8);
    const begin = this.#w.log.segments.find((each) => each.number === number)?.begin ?? 0;
    // Two that hit both copies of a head cost the segment.
    if (at < begin && this.#w.hasHitHead) return;
    this.#w.hasHitHead ||= at < begin;
    this.#w.disk.flip(path, bit);
    this.#w.counts.flips++;
    this.#w.isQuiet = false;
    for (const entry of this.#w.model.at(number).versions.flat())
      if (entry.offset <= at && at < entry.next) entry.isHit = true;
  }

  close(): void {
    try {
      this.#w.log.close();
    } catch (cause) {
      this.#w.syncFailed(cause);
    }
  }
}
