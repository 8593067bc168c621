/**
 * Metering of one sidecar: the stage that records, the commits that hold last bytes back, the spool, and who tells it to a collector.
 *
 *   stage ─▶ tick commits ─▶ spool ─▶ reader ─▶ sender ─▶ collector
 *                              └ ladder, syncs
 */
import { zstdCompress } from 'node:zlib';
import type { Clock, Random, Timers } from '../core/index.ts';
import type { Commits, Filter, Identified } from '../pipeline/index.ts';
import type { Log, Metrics } from '../telemetry/index.ts';
import type { MeteringConfig } from '../tenants/index.ts';
import { type Disk, systemDisk } from '../wal/index.ts';
import { type MeteringStage, meteringStage, reportedRecord } from './filter.ts';
import { Incidents } from './incidents.ts';
import { Ladder } from './ladder.ts';
import { type MeteringView, registerMetering } from './metering-metrics.ts';
import { SpoolReader } from './reader.ts';
import { FOLDED_BATCH, Sender } from './sender.ts';
import { type Link, type LinkEvents, noCounts, type SenderCounts } from './sender-ports.ts';
import { Spool } from './spool.ts';
import { TickCommits } from './tick-commits.ts';
import { OUTCOMES, UNITS_EACH_MAX, type Units, type UsageRecord } from './usage-record.ts';

/** With `durability: interval`, ms: what a crash of the machine can cost. */
const SYNC_MS = 100;
/** How soon it is seen that the spool fills, that the disk takes records again, or that a stream is to be recorded in part, ms. */
const LOOK_MS = 1000;
/** Between two spools that are fenced, ms. */
const FENCE_MS = 600_000;
/** Of one spool's letters. */
const ASIDE_MAX = 1000;
/** Letters of an instance that are told. */
const INSTANCE_MAX = 63;

export type Connect = (events: LinkEvents) => Link;

export interface MeteringOptions {
  readonly config: MeteringConfig;
  /** Whose requests these are: the sidecar's name. */
  readonly service: string;
  /** Which of its sidecars, for people. */
  readonly instance: string;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly random: Random;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly disk?: Disk;
  /** Default: gRPC to the collector of the configuration. */
  readonly connect?: Connect;
}

export interface Metering extends AsyncDisposable {
  readonly filter: Filter<Identified>;
  readonly commits: Commits;
  /** What an application says by itself was used. False: it could not be recorded. When it returns the record stands. */
  report(tenant: string, units: readonly Units[]): boolean;
  /** Tells the rest, for at most so long. */
  drain(graceMs: number): Promise<void>;
  close(): Promise<void>;
}

/** Rejects with a ReeveError when the spool cannot be opened. */
export async function openMetering(options: MeteringOptions): Promise<Metering> {
  const meter = new Meter(options, options.connect ?? (await connectOf(options.config)));
  meter.start();
  return {
    filter: meter.filter,
    commits: meter.commits,
    report: (tenant, units) => meter.report(tenant, units),
    drain: (graceMs) => meter.drain(graceMs),
    close: async () => meter.close(),
    [Symbol.asyncDispose]: async () => meter.close(),
  };
}

/** Undefined: nobody is told; the spool keeps what it can. */
async function connectOf({ collector }: MeteringConfig): Promise<Connect | undefined> {
  if (collector === undefined) return undefined;
  const { connectCollector } = await import('./grpc-link.ts');
  return (events) => connectCollector(collector, events);
}

class Meter {
  readonly #stage: MeteringStage;
  readonly commits: TickCommits;
  readonly #o: MeteringOptions;
  readonly #disk: Disk;
  readonly #connect: Connect | undefined;
  #spool: Spool;
  #ladder: Ladder;
  #reader: SpoolReader | undefined;
  #sender: Sender | undefined;
  readonly #stops: (() => void)[] = [];
  readonly #records = new Float64Array(OUTCOMES.length);
  #parts = 0;
  /** Of all senders: one a spool. */
  readonly #sent: SenderCounts = noCounts();
  readonly #incidents: Incidents;
  #commits = 0;
  #folded = 0;
  #fencedUntil = 0;
  /** A new spool could not be begun; where the files of the old one go first. */
  #spoolless: { readonly aside: string | undefined } | undefined;
  #isClosed = false;

  constructor(options: MeteringOptions, connect: Connect | undefined) {
    this.#o = options;
    this.#connect = connect;
    this.#disk = options.disk ?? systemDisk;
    const { clock, timers, config, metrics, log } = options;
    this.#incidents = new Incidents(log, config);
    this.#spool = this.#openSpool();
    this.#ladder = this.#ladderOf(this.#spool);
    this.commits = new TickCommits({
      spool: this.#spool,
      timers,
      isStrict: config.durability === 'strict',
      onLost: (records, cause) => this.#incidents.lose(records, cause),
      onBack: () => this.#incidents.back(),
      onCommitted: () => {
        this.#commits++;
        this.#sender?.nudge();
      },
      onSyncFailed: (cause) => this.#incidents.notSynced(cause),
    });
    this.#stage = meteringStage({
      clock,
      record: (record) => this.#record(record),
      isRefusing: () => this.commits.isRefused && config.onFull === 'failClosed',
      traceIds: config.traceIds,
      partEveryMs: config.streamEveryMs,
    });
    registerMetering(metrics, () => this.#view());
  }

  get filter(): Filter<Identified> {
    return this.#stage.filter;
  }

  start(): void {
    const { timers, config } = this.#o;
    if (config.durability === 'interval') {
      const syncing = timers.every(SYNC_MS, () => this.#sync());
      this.#stops.push(() => syncing.cancel());
    }
    const looking = timers.every(LOOK_MS, () => this.#look());
    this.#stops.push(() => looking.cancel());
    this.#tell();
  }

  report(tenant: string, units: readonly Units[]): boolean {
    if (units.length > 0) this.#record(reportedRecord(this.#o.clock.wallMs(), tenant, units));
    return this.commits.commitNow();
  }

  async drain(graceMs: number): Promise<void> {
    this.commits.commitNow();
    this.#spool.settle();
    if (this.#sender === undefined) return;
    const isTold = await this.#sender.part(graceMs);
    this.#incidents.told(this.#spool, isTold);
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    for (const stop of this.#stops) stop();
    this.#ladder.stop();
    this.commits.commitNow();
    this.#sender?.close();
    this.#spool.close();
  }

  #record(record: UsageRecord): void {
    if (record.isPart) this.#parts++;
    else (this.#records[OUTCOMES.indexOf(record.outcome)] as number) += 1;
    for (const { meter, units } of record.units)
      if (Math.abs(units) > UNITS_EACH_MAX) this.#incidents.cut(record.tenant, meter, units);
    this.commits.record(record);
  }

  #openSpool(): Spool {
    const { config, clock, random } = this.#o;
    return new Spool({
      dir: config.dir,
      disk: this.#disk,
      clock,
      random,
      maxBytes: config.maxBytes,
      onDamage: (damage) => this.#incidents.damaged(damage),
    });
  }

  #ladderOf(spool: Spool): Ladder {
    const { clock, timers, config, log } = this.#o;
    return new Ladder({
      spool,
      timers,
      maxBytes: config.maxBytes,
      now: () => clock.now(),
      pack: (payload) =>
        new Promise((resolve, reject) =>
          zstdCompress(payload, (error, packed) => (error === null ? resolve(packed) : reject(error))),
        ),
      onFolded: ({ number, spanMs }, before, after) => {
        this.#folded++;
        log.info('metering.folded', { segment: number, window_ms: spanMs, bytes_before: before, bytes_after: after });
      },
      onFailed: (cause) => log.warn('metering.not_folded', { cause }),
    });
  }

  /** Begins to tell what the spool holds. */
  #tell(): void {
    const { clock, timers, random, config, service, instance } = this.#o;
    const connect = this.#connect;
    if (connect === undefined) return;
    const spool = this.#spool;
    const isFolding = config.granularity === 'window';
    const reader = new SpoolReader(spool, isFolding, () => sender.nudge());
    const sender = new Sender({
      clock,
      timers,
      random,
      connect,
      counts: this.#sent,
      hello: {
        kind: 'hello',
        ...spool.head,
        service,
        instance: instance.replaceAll(/[^\x21-\x7e]/g, '-').slice(0, INSTANCE_MAX),
      },
      ...(isFolding ? { batch: FOLDED_BATCH } : {}),
      source: {
        seek: (position, chain) => reader.seek(position, chain),
        next: () => reader.next(),
        get unreadBytes() {
          return reader.unreadBytes;
        },
        acked: (position) => this.#acked(spool, position),
        watermarkMs: () => spool.watermarkMs(),
        get spoolBytes() {
          return spool.bytes;
        },
      },
      pack: (payload, done) => zstdCompress(payload, (error, packed) => done(error === null ? packed : undefined)),
      onFence: (reason) => this.#onFence(reason),
      onFailure: (why) => this.#incidents.away(why),
      onWelcome: () => this.#incidents.found(spool),
    });
    this.#reader = reader;
    this.#sender = sender;
    sender.start();
  }

  #acked(spool: Spool, position: Parameters<Spool['acked']>[0]): void {
    try {
      spool.acked(position);
    } catch (cause) {
      this.#incidents.notRemoved(cause);
    }
  }

  #sync(): void {
    this.#spool.sync().then(
      () => this.#incidents.synced(),
      (cause: unknown) => this.#incidents.notSynced(cause),
    );
  }

  /** Each second. */
  #look(): void {
    if (this.#spoolless !== undefined) this.#renew(this.#spoolless.aside);
    else if (!this.#spool.isThere) {
      this.#incidents.missing(this.#spool);
      this.#sender?.close();
      this.#renew(undefined);
    }
    this.commits.probe();
    this.#stage.recordParts();
    void this.#ladder.run();
  }

  #onFence(reason: string): void {
    const { clock, timers } = this.#o;
    this.#reader = undefined;
    this.#sender = undefined;
    const now = clock.now();
    if (now < this.#fencedUntil) {
      // Whoever fences one spool after the other is wrong himself; they would fill the disk.
      this.#incidents.fencedAgain(this.#spool, reason);
      const again = timers.after(FENCE_MS, () => this.#tell());
      this.#stops.push(() => again.cancel());
      return;
    }
    this.#fencedUntil = now + FENCE_MS;
    const aside = this.#freeAside();
    this.#incidents.fenced(this.#spool, reason, aside);
    this.#renew(aside);
  }

  /** Another spool with these letters may have been put aside before, or this one, restored once more. */
  #freeAside(): string {
    const path = `${this.#o.config.dir}.fenced-${this.#spool.head.spoolId.slice(0, 8)}`;
    let free = path;
    for (let i = 2; i <= ASIDE_MAX && this.#hasFiles(free); i++) free = `${path}-${i}`;
    return free;
  }

  #hasFiles(dir: string): boolean {
    try {
      return this.#disk.list(dir).length > 0;
    } catch (cause) {
      return (cause as NodeJS.ErrnoException).code !== 'ENOENT';
    }
  }

  /** False: the files stay, and so do records in them, which nobody is told of until they can be put aside. */
  #putAside(aside: string): boolean {
    try {
      this.#disk.rename(this.#o.config.dir, aside);
      return true;
    } catch (cause) {
      this.#incidents.notPutAside(cause, aside);
      return false;
    }
  }

  /** A new spool is begun. `aside`: where the files of the old one go, for the operator. */
  #renew(aside: string | undefined): void {
    const old = this.#spool;
    let left = aside;
    let isAside = true;
    this.#ladder.stop();
    try {
      old.close();
    } catch (cause) {
      // Its directory may be gone; the files are let go of all the same.
      this.#incidents.notSynced(cause);
    }
    try {
      if (left !== undefined) isAside = this.#putAside(left);
      if (isAside) left = undefined;
      this.#spool = this.#openSpool();
    } catch (cause) {
      // It is tried again each second; until then records are lost, and counted.
      if (this.#spoolless === undefined) this.#incidents.noSpool(cause);
      this.#spoolless = { aside: left };
      return;
    }
    this.#spoolless = undefined;
    if (isAside) this.#incidents.begun(this.#spool);
    this.#spool.adopt(old);
    this.#ladder = this.#ladderOf(this.#spool);
    this.commits.use(this.#spool);
    if (isAside) this.#tell();
    else this.#renewLater();
  }

  #renewLater(): void {
    const kept = this.#spool;
    const again = this.#o.timers.after(FENCE_MS, () => {
      if (this.#spool === kept) this.#renew(this.#freeAside());
    });
    this.#stops.push(() => again.cancel());
  }

  #view(): MeteringView {
    const spool = this.#spool;
    const sender = this.#sender;
    return {
      records: this.#records,
      parts: this.#parts,
      commits: this.#commits,
      spoolBytes: spool.bytes,
      unacked: spool.unacked,
      oldestAgeSec: this.#oldestAgeSec(),
      lost: this.#incidents.lost,
      syncFailures: this.#incidents.syncFailures,
      damages: this.#incidents.damages,
      step: this.commits.isRefused ? 'full' : this.#ladder.step,
      folded: this.#folded,
      sent: this.#sent,
      isConnected: sender?.state === 'telling' || sender?.state === 'parting',
    };
  }

  #oldestAgeSec(): number {
    const spool = this.#spool;
    if (spool.unacked === 0) return 0;
    const sinceMs = this.#sender?.oldestToldMs ?? this.#unreadSinceMs() ?? spool.oldestMs;
    return Math.max(0, (this.#o.clock.wallMs() - sinceMs) / 1000);
  }

  #unreadSinceMs(): number | undefined {
    try {
      return this.#reader?.unreadSinceMs;
    } catch {
      // The disk does not give it now; the sender says so.
      return undefined;
    }
  }
}
