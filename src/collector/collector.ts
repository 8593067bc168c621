/**
 * The collector without its sockets: ledger, spools, sums and what is done each second.
 *
 *   sessions ─▶ intake ─▶ ledger ═ synced ═▶ sums ─▶ store ◀─ questions
 *                                                     │
 *                              each few MiB or minutes└─ save: place in the ledger, spools, hot rows
 *
 * At a start the store's last save says from where on the ledger is read again.
 */
import { type Clock, Closer, ReeveError, type Timer, type Timers } from '../core/index.ts';
import type { Log } from '../telemetry/index.ts';
import type { Place } from '../wal/index.ts';
import { type Completeness, completenessOf } from './completeness.ts';
import { CreditPool } from './credits.ts';
import type { Entry } from './entry.ts';
import { Feed } from './feed.ts';
import { Intake } from './intake.ts';
import type { Ledger } from './ledger.ts';
import { type Hole, Replay } from './replay.ts';
import { type Retained, RetentionClock, retentionStart } from './retention-clock.ts';
import type { RollupStore } from './rollups.ts';
import { type Line, type RefusalKind, Session, type SessionWorld } from './session.ts';
import { type Spool, Spools } from './spools.ts';
import type { Sums } from './sums.ts';
import { TenantTotals } from './tenant-totals.ts';

export interface CollectorSettings {
  /** Bytes of payloads of all streams at once. */
  readonly creditBytes: number;
  /** After the end of an hour it waits so long for late spools, ms, and then for those that are away no longer than this. */
  readonly graceMs: number;
  readonly patienceMs: number;
  readonly keepLedgerMs: number;
  /** A person says that the wall clock is right: what is due by it is deleted. */
  readonly trustsClock?: boolean;
  /** Between two saves at most, while there is time. Default 120 s. */
  readonly saveMs?: number;
}

export interface CollectorOptions extends CollectorSettings {
  readonly clock: Clock;
  readonly timers: Timers;
  readonly log: Log;
  /** Opens the ledger; what stands before `readFrom` is known. Throws a ReeveError when it ends before it. */
  readonly openLedger: (readFrom: Place | undefined) => Ledger;
  readonly store: RollupStore;
  /** Of payloads that a start reads before it saves what it has so far. */
  readonly replaySaveBytes?: number;
  /** It cannot go on, and takes nothing; the ledger has everything that a start needs. Called once. */
  readonly onDeath?: (cause: Error) => void;
}

/** One line of a window at first, and at most. 32 KiB: a few thousand records as they are compressed. */
const CREDIT_BASE = 32 * 1024;
const CREDIT_MOST = 4 * 2 ** 20;
const FLUSH_MS = 1000;
const TEND_MS = 10_000;
/** A start reads again what came since the last save: some seconds of work. */
const SAVE_BYTES = 32 * 2 ** 20;
const SAVE_MS = 120_000;
/** Of a long reading at a start. */
const REPLAY_SAVE_BYTES = 64 * 2 ** 20;
/** Each is a line. */
const DOUBTS_TOLD_MAX = 100;
/** Late rows of hours that are written are written together. */
const LATE_MS = 600_000;
const HOUR_MS = 3_600_000;

/** What a save says of the ledger. */
export interface Word extends Partial<Retained> {
  readonly place: Place;
  readonly spools: readonly unknown[];
  readonly sealedS: number;
}

export class Collector implements AsyncDisposable {
  readonly spools: Spools = new Spools();
  readonly totals: TenantTotals = new TenantTotals();
  readonly pool: CreditPool;
  readonly sessions: Map<string, Session> = new Map();
  readonly refusals: Map<RefusalKind, number> = new Map();
  readonly #o: CollectorOptions;
  readonly #feed: Feed;
  readonly #closer = new Closer();
  #ledger: Ledger | undefined;
  #intake: Intake | undefined;
  #isReplaying = true;
  /** Why it cannot go on. What is in the sums since is not all: nothing of it is saved or answered. */
  #failure: unknown;
  /** Undefined: it is not known yet how far it was. */
  #retention: RetentionClock | undefined;
  #savedBytes = 0;
  /** Monotonic. */
  #savedMs = 0;
  #sealedS = 0;
  /** Monotonic. */
  #sealedMs = Number.NEGATIVE_INFINITY;
  #tending: Promise<void> | undefined;
  /** How long the last start read the ledger, ms, and how many entries. */
  replayed = { entries: 0, ms: 0 };

  private constructor(options: CollectorOptions) {
    this.#o = options;
    this.pool = new CreditPool({ budget: options.creditBytes, base: CREDIT_BASE, most: CREDIT_MOST });
    this.#feed = new Feed((service, payload) => this.#apply(service, payload));
  }

  /** Rejects with a ReeveError when the ledger or what was saved cannot be used. */
  static async open(options: CollectorOptions): Promise<Collector> {
    const collector = new Collector(options);
    try {
      await collector.#open();
      return collector;
    } catch (cause) {
      await collector.#closer.close().catch(() => {});
      throw cause;
    }
  }

  get sums(): Sums {
    return this.#feed.sums;
  }

  get ledger(): Ledger {
    return this.#ledger as Ledger;
  }

  get intake(): Intake {
    return this.#intake as Intake;
  }

  /** Why it does not take what sidecars tell; none: it does. */
  get trouble(): string | undefined {
    return this.#failure === undefined ? this.intake.trouble : `it cannot go on: ${(this.#failure as Error).message}`;
  }

  /** A stream began. */
  session(line: Line): Session {
    const { clock } = this.#o;
    const world: SessionWorld = {
      clock,
      spools: this.spools,
      pool: this.pool,
      intake: this.intake,
      sessions: this.sessions,
      onRefusal: (kind, spool, reason) => this.#refused(kind, spool, reason),
    };
    return new Session(world, line);
  }

  /** Resolves when all that is acknowledged is in the answers of the store. Rejects when it never will be. */
  async settle(): Promise<void> {
    const { applied } = await this.intake.cut(() => ({ applied: this.#feed.flush() }));
    await applied;
    this.#throwFailure();
  }

  completeness(askedMs: number): Completeness {
    return completenessOf(this.spools, askedMs);
  }

  /** Nothing more comes of a spool; in the ledger when it resolves. Rejects with a ReeveError. */
  async writeOff(id: string): Promise<Spool> {
    const spool = this.spools.get(id);
    if (spool === undefined)
      throw new ReeveError('spool-unknown', `there is no spool ${id}`, { remedy: '`reeve usage spools` names them' });
    if (this.sessions.has(id))
      throw new ReeveError('spool-live', 'the spool has a stream: its sidecar is there', {
        remedy: 'stop the sidecar; it says all it has, and Bye',
      });
    const { epoch, seq, chain, life } = spool.taken;
    const entry: Entry = {
      kind: 'write-off',
      receivedMs: this.#o.clock.wallMs(),
      spoolId: id,
      service: spool.service,
      instance: spool.instance,
      epoch,
      life,
      seqFrom: seq,
      seqTo: seq,
      chainBefore: chain,
      chainAfter: chain,
      watermarkMs: spool.watermarkTakenMs,
    };
    try {
      this.intake.take(spool, entry, undefined);
    } catch (cause) {
      throw new ReeveError('ledger-refuses', (cause as Error).message, { remedy: 'see /readyz', cause });
    }
    await this.intake.settled(spool);
    if (spool.state !== 'written off') throw new ReeveError('ledger-refuses', 'the ledger did not keep it', {});
    this.#o.log.warn('collector.spool_written_off', { spool: id, service: spool.service, instance: spool.instance });
    return spool;
  }

  /** Keeps what a start needs, so that it is quick. One at a time. */
  async save(): Promise<void> {
    const { clock, store, keepLedgerMs, log } = this.#o;
    const sealS = this.#sealS();
    const { place, bytes, saving } = await this.intake.cut((place) => {
      const word = this.#word(place, sealS);
      // A place in the ledger says that all before it is in the sums: this is known first. What is summed up later is not in it.
      const saving = this.#feed.cut().then(() => {
        this.#throwFailure();
        return store.save(word, sealS);
      });
      return { place, bytes: this.ledger.bytes, saving };
    });
    const hours = await saving;
    if (sealS > 0) this.#sealedMs = clock.now();
    this.#sealedS = Math.max(sealS, this.#sealedS);
    this.#savedBytes = bytes;
    this.#savedMs = clock.now();
    this.ledger.drop(place, this.#retainedMs - keepLedgerMs);
    if (hours > 0) log.info('collector.sealed', { hours, until: new Date(this.#sealedS * 1000).toISOString() });
  }

  /** It must not go on, such as when its directory is another's: nothing is saved or answered any more. */
  fail(cause: Error): void {
    this.#die(cause);
  }

  /** Ends all streams, keeps everything. Idempotent. */
  close(): Promise<void> {
    return this.#closer.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #open(): Promise<void> {
    const { store, openLedger, clock, timers, log } = this.#o;
    this.#closer.add(() => store.close());
    const word = store.word === undefined ? undefined : (JSON.parse(store.word) as Word);
    this.spools.read(word?.spools ?? []);
    this.#sealedS = word?.sealedS ?? 0;
    if (word?.retainedMs !== undefined) this.#retain(word, 0);
    const ledger = openLedger(word?.place);
    this.#ledger = ledger;
    this.#closer.add(() => ledger.close());
    const newestMs = await this.#replay(ledger, word?.place);
    if (word?.retainedMs === undefined) this.#retain(undefined, Math.max(newestMs, this.#sealedS * 1000));
    this.#savedBytes = ledger.bytes;
    this.#savedMs = clock.now();
    const intake = new Intake({
      clock,
      timers,
      ledger,
      sessions: this.sessions,
      sum: (entry) => this.#feed.add(entry),
      onLost: (cause) => this.#die(cause),
      onTrouble: (reason) =>
        reason === undefined
          ? log.info('collector.ledger_mended')
          : log.error('collector.ledger_refuses', { reason, remedy: 'make room, or make the directory writable' }),
    });
    this.#intake = intake;
    this.#isReplaying = false;
    this.#closer.add(() => this.#end());
    this.#every(FLUSH_MS, () => void this.#feed.flush());
    this.#every(Math.min(TEND_MS, this.#o.saveMs ?? SAVE_MS), () => {
      this.#tending ??= this.#tend().finally(() => {
        this.#tending = undefined;
      });
    });
  }

  get #retainedMs(): number {
    return this.#retention?.nowMs() ?? 0;
  }

  /** From here on the retention's clock goes. */
  #retain(saved: Word | undefined, lastMs: number): void {
    const { clock, log, trustsClock = false } = this.#o;
    const wallMs = clock.wallMs();
    this.#retention = new RetentionClock(clock, log, trustsClock ? wallMs : retentionStart(saved, lastMs, wallMs));
  }

  async #end(): Promise<void> {
    await this.#tending;
    for (const session of [...this.sessions.values()]) session.stall('the collector stops');
    await this.intake.close();
    if (this.#failure === undefined) await this.save();
  }

  #every(periodMs: number, run: () => void): void {
    const timer: Timer = this.#o.timers.every(periodMs, run);
    this.#closer.add(() => timer.cancel());
  }

  #word(place: Place, sealS: number): string {
    const sealedS = Math.max(sealS, this.#sealedS);
    const word: Word = { place, spools: this.spools.write(), sealedS, ...this.#retention?.word() };
    return JSON.stringify(word);
  }

  /** What came since the last save, again; returns when the newest was received. What is long is saved in between: a start that is broken off goes on from there. */
  async #replay(ledger: Ledger, from: Place | undefined): Promise<number> {
    const { clock, log, replaySaveBytes = REPLAY_SAVE_BYTES } = this.#o;
    const began = clock.now();
    let bytes = 0;
    let newestMs = 0;
    // Of what was read before the last save: a jump of the clock that was short is in one of two that follow one another.
    let earlierMs = 0;
    const replay = new Replay(this.spools, (hole) => this.#tellHole(hole));
    for (const { entry, next, isSettled } of ledger.scan(from)) {
      bytes += entry.batch?.zstd.length ?? 0;
      for (const each of replay.read(entry, isSettled)) {
        const full = this.#feed.add(each);
        if (full !== undefined) await full;
      }
      // A place behind what is held says that it is done with.
      if (bytes >= (replay.heldBytes === 0 ? 1 : 2) * replaySaveBytes) {
        bytes = 0;
        replay.giveUp();
        await this.#saveReplayed(next, entry.receivedMs, Math.min(earlierMs, entry.receivedMs));
        earlierMs = entry.receivedMs;
      }
      newestMs = entry.receivedMs;
      this.#throwFailure();
    }
    replay.giveUp();
    await this.#feed.flush();
    this.#throwFailure();
    const { entries, refused } = replay;
    // What did not count never does, also when it is no longer the end of the ledger.
    if (refused > 0) await this.#o.store.save(this.#word(ledger.highWater, 0), 0);
    this.replayed = { entries, ms: clock.now() - began };
    log.info('collector.replayed', { entries, refused, ms: Math.round(this.replayed.ms), spools: this.spools.size });
    this.#tellDoubts();
    return newestMs;
  }

  /** Damage in the ledger hit what stood before an entry. */
  #tellHole({ row, lost, behind, before }: Hole): void {
    this.#o.log.error('collector.ledger_hole', {
      ...{ spool: row.id, service: row.service, instance: row.instance, lost, behind, before },
      remedy: 'look at the disk; these records are not in the sums',
    });
  }

  #tellDoubts(): void {
    const doubtful = [...this.spools].filter(({ doubt }) => doubt !== undefined);
    for (const { id, service, instance, synced, doubt } of doubtful.slice(0, DOUBTS_TOLD_MAX))
      this.#o.log.error('collector.ledger_doubt', {
        ...{ spool: id, service, instance, behind: `${synced.epoch}:${synced.seq}`, records: doubt?.count },
        ...{
          spools: doubtful.length,
          remedy: 'its sidecar tells again what it still has; if it never comes back: `reeve usage write-off`',
        },
      });
  }

  /** By the time of the entries, not of now. */
  async #saveReplayed(place: Place, receivedMs: number, retainedMs: number): Promise<void> {
    await this.#feed.flush();
    const nowS = Math.floor(receivedMs / 1000);
    await this.#o.store.tidy(nowS, Math.floor((this.#retention?.nowMs() ?? retainedMs) / 1000));
    const sealS = Math.max(this.#sealedS, nowS - (nowS % 3600) - 7200);
    await this.#o.store.save(this.#word(place, sealS), sealS);
    this.#sealedS = sealS;
  }

  async #apply(service: string, payload: Buffer): Promise<void> {
    if (!this.#isReplaying) this.totals.add(payload);
    try {
      await this.#o.store.apply(service, payload);
    } catch (cause) {
      // What is lost here is in the ledger: a start has it again.
      this.#die(cause as Error);
    }
  }

  #die(cause: Error): void {
    if (this.#failure !== undefined) return;
    this.#failure = cause;
    if (!this.#isReplaying) this.#o.onDeath?.(cause);
  }

  #throwFailure(): void {
    if (this.#failure !== undefined) throw this.#failure;
  }

  /** Until when hours are written for good, seconds; 0: none now. */
  #sealS(): number {
    const { clock, graceMs, patienceMs } = this.#o;
    const nowMs = clock.wallMs();
    const { untilMs } = this.completeness(nowMs - graceMs);
    const wholeMs = Math.max(untilMs, nowMs - graceMs - patienceMs);
    const sealS = (wholeMs - (wholeMs % HOUR_MS)) / 1000;
    const isNew = sealS > this.#sealedS;
    return isNew || clock.now() - this.#sealedMs >= LATE_MS ? Math.max(sealS, this.#sealedS) : 0;
  }

  async #tend(): Promise<void> {
    if (this.#failure !== undefined) return;
    const { clock, log, store } = this.#o;
    const nowMs = clock.wallMs();
    try {
      await store.tidy(Math.floor(nowMs / 1000), Math.floor(this.#retainedMs / 1000));
      const isDue =
        this.ledger.bytes - this.#savedBytes >= SAVE_BYTES ||
        clock.now() - this.#savedMs >= (this.#o.saveMs ?? SAVE_MS);
      if (isDue || this.#sealS() > this.#sealedS) await this.save();
    } catch (cause) {
      // The ledger has it all: the next start takes longer, no more.
      log.warn('collector.not_saved', { cause, remedy: 'make room in the directory of the sums' });
    }
  }

  #refused(kind: RefusalKind, spool: Spool | undefined, reason: string): void {
    this.refusals.set(kind, (this.refusals.get(kind) ?? 0) + 1);
    const facts = { kind, reason, spool: spool?.id, service: spool?.service, instance: spool?.instance };
    if (kind === 'fenced') this.#o.log.error('collector.fenced', facts);
    else this.#o.log.info('collector.refused', facts);
  }
}
