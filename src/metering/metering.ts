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
import { type Damage, type Disk, systemDisk } from '../wal/index.ts';
import { meteringFilter, reportedRecord } from './filter.ts';
import { Ladder } from './ladder.ts';
import { type MeteringView, registerMetering } from './metering-metrics.ts';
import { SpoolReader } from './reader.ts';
import { BATCH_MS, FOLDED_BATCH_MS, type Link, type LinkEvents, noCounts, Sender, type SenderCounts } from './sender.ts';
import { Spool, SpoolFull } from './spool.ts';
import { TickCommits } from './tick-commits.ts';
import { OUTCOMES, type Units, type UsageRecord } from './usage-record.ts';

/** With `durability: interval`, ms: what a crash of the machine can cost. */
const SYNC_MS = 100;
/** How soon it is seen that the spool fills, or that the disk takes records again, ms. */
const LOOK_MS = 1000;
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
  readonly filter: Filter<Identified>;
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
  /** Of all senders: one a spool. */
  readonly #sent: SenderCounts = noCounts();
  #commits = 0;
  #lost = 0;
  #syncFailures = 0;
  #damages = 0;
  #folded = 0;
  #isSyncSound = true;
  #isAway = false;
  #isClosed = false;

  constructor(options: MeteringOptions, connect: Connect | undefined) {
    this.#o = options;
    this.#connect = connect;
    this.#disk = options.disk ?? systemDisk;
    const { clock, timers, config, metrics } = options;
    this.#spool = this.#openSpool();
    this.#ladder = this.#ladderOf(this.#spool);
    this.commits = new TickCommits({
      spool: this.#spool,
      timers,
      isStrict: config.durability === 'strict',
      onLost: (records, cause) => this.#onLost(records, cause),
      onBack: () => options.log.warn('metering.recorded_again', { lost: this.#lost }),
      onCommitted: () => {
        this.#commits++;
        this.#sender?.nudge();
      },
      onSyncFailed: (cause) => this.#onSyncFailed(cause),
    });
    this.filter = meteringFilter({
      clock,
      record: (record) => this.#record(record),
      isRefusing: () => this.commits.isRefused && config.onFull === 'failClosed',
      traceIds: config.traceIds,
    });
    registerMetering(metrics, () => this.#view());
  }

  start(): void {
    const { timers, config } = this.#o;
    if (config.durability === 'interval') {
      const syncing = timers.every(SYNC_MS, () => this.#sync());
      this.#stops.push(() => syncing.cancel());
    }
    const looking = timers.every(LOOK_MS, () => {
      this.commits.probe();
      void this.#ladder.run();
    });
    this.#stops.push(() => looking.cancel());
    this.#tell();
  }

  report(tenant: string, units: readonly Units[]): boolean {
    if (units.length > 0) this.#record(reportedRecord(this.#o.clock.wallMs(), tenant, units));
    return this.commits.commitNow();
  }

  async drain(graceMs: number): Promise<void> {
    this.commits.commitNow();
    if (this.#sender === undefined) return;
    const isTold = await this.#sender.part(graceMs);
    const { unacked } = this.#spool;
    if (isTold) this.#o.log.info('metering.told', { spool: this.#spool.head.spoolId });
    else this.#o.log.warn('metering.not_all_told', { records: unacked, remedy: 'keep the spool: its next opening tells them' });
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
    (this.#records[OUTCOMES.indexOf(record.outcome)] as number) += 1;
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
      onDamage: (damage) => this.#onDamage(damage),
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
    const reader = new SpoolReader(spool, isFolding, () => sender.resume());
    const sender = new Sender({
      clock,
      timers,
      random,
      connect,
      counts: this.#sent,
      hello: { kind: 'hello', ...spool.head, service, instance: instance.replaceAll(/[^\x21-\x7e]/g, '-').slice(0, INSTANCE_MAX) },
      batchMs: isFolding ? FOLDED_BATCH_MS : BATCH_MS,
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
      pack: (payload, done) => zstdCompress(payload, (_error, packed) => done(packed)),
      onFence: (reason) => this.#onFence(reason),
      onFailure: (why) => this.#onFailure(why),
      onWelcome: () => this.#onWelcome(),
    });
    this.#reader = reader;
    this.#sender = sender;
    sender.start();
  }

  #acked(spool: Spool, position: Parameters<Spool['acked']>[0]): void {
    try {
      spool.acked(position);
    } catch (cause) {
      this.#o.log.warn('metering.not_removed', { cause, remedy: 'the files are found again by the next start' });
    }
  }

  #sync(): void {
    this.#spool.sync().then(
      () => (this.#isSyncSound = true),
      (cause: unknown) => this.#onSyncFailed(cause),
    );
  }

  #onSyncFailed(cause: unknown): void {
    this.#syncFailures++;
    if (this.#isSyncSound)
      this.#o.log.error('metering.not_synced', { cause, remedy: 'look at the disk: a crash of the machine may now cost records' });
    this.#isSyncSound = false;
  }

  #onLost(records: number, cause: unknown): void {
    const { log, config } = this.#o;
    if (this.#lost === 0 || !this.commits.isRefused) {
      const remedy = cause instanceof SpoolFull ? 'raise metering.maxBytes, or let the collector be reached' : 'make room on the disk';
      log.error('metering.records_lost', { cause, policy: config.onFull, remedy });
    }
    this.#lost += records;
  }

  #onDamage({ path, what, bytes, detail }: Damage): void {
    this.#damages++;
    this.#o.log.warn('metering.spool_damaged', { path, what, bytes, detail });
  }

  #onWelcome(): void {
    this.#isAway = false;
    this.#o.log.info('metering.collector_found', { address: this.#o.config.collector?.address, unacked: this.#spool.unacked });
  }

  #onFailure(why: string): void {
    if (!this.#isAway) this.#o.log.warn('metering.collector_away', { address: this.#o.config.collector?.address, why });
    this.#isAway = true;
  }

  /** The files are put aside for the operator, and a new spool is begun. */
  #onFence(reason: string): void {
    const { config, log } = this.#o;
    const old = this.#spool;
    const aside = `${config.dir}.fenced-${old.head.spoolId.slice(0, 8)}`;
    log.error('metering.fenced', {
      spool: old.head.spoolId,
      reason,
      aside,
      untold: old.unacked,
      remedy: 'no two sidecars may share a spool, and none be restored from a copy; what was not told of it stands there',
    });
    this.#reader = undefined;
    this.#sender = undefined;
    this.#ladder.stop();
    try {
      old.close();
      this.#disk.rename(config.dir, aside);
      this.#spool = this.#openSpool();
    } catch (cause) {
      log.error('metering.no_spool', { cause, remedy: 'restart the sidecar once the directory can be written' });
      return;
    }
    this.#spool.adopt(old);
    this.#ladder = this.#ladderOf(this.#spool);
    this.commits.use(this.#spool);
    this.#tell();
  }

  #view(): MeteringView {
    const spool = this.#spool;
    const sender = this.#sender;
    return {
      records: this.#records,
      commits: this.#commits,
      spoolBytes: spool.bytes,
      unacked: spool.unacked,
      oldestAgeSec: this.#oldestAgeSec(),
      lost: this.#lost,
      syncFailures: this.#syncFailures,
      damages: this.#damages,
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
