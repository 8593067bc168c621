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
import { Claim, type Disk, systemDisk } from '../wal/index.ts';
import { Compressor } from './compressor.ts';
import { type MeteringStage, meteringStage, reportedRecord } from './filter.ts';
import { Incidents } from './incidents.ts';
import { Ladder } from './ladder.ts';
import { type MeteringView, registerMetering } from './metering-metrics.ts';
import { SpoolReader } from './reader.ts';
import { FOLDED_BATCH, Sender } from './sender.ts';
import { type Link, type LinkEvents, noCounts, type SenderCounts } from './sender-ports.ts';
import type { Spool } from './spool.ts';
import { SpoolKeeper } from './spool-keeper.ts';
import { type MeteringStatus, statusOf } from './status.ts';
import { TickCommits } from './tick-commits.ts';
import { OUTCOMES, UNITS_EACH_MAX, type Units, type UsageRecord } from './usage-record.ts';

/** With `durability: interval`, ms: what a crash of the machine can cost. */
const SYNC_MS = 100;
/** How soon it is seen that the spool fills, that the disk takes records again, or that a stream is to be recorded in part, ms. */
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
  status(): MeteringStatus;
  /** Tells the rest, for at most so long. */
  drain(graceMs: number): Promise<void>;
  close(): Promise<void>;
}

/** Rejects with a ReeveError when the spool cannot be opened. */
export async function openMetering(options: MeteringOptions): Promise<Metering> {
  const meter = new Meter(options, options.connect ?? (await connectOf(options.config)));
  await meter.start();
  return {
    filter: meter.filter,
    commits: meter.commits,
    report: (tenant, units) => meter.report(tenant, units),
    status: () => meter.status(),
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
  readonly #connect: Connect | undefined;
  readonly #keeper: SpoolKeeper;
  #ladder: Ladder | undefined;
  #reader: SpoolReader | undefined;
  #sender: Sender | undefined;
  readonly #stops: (() => void)[] = [];
  readonly #records = new Float64Array(OUTCOMES.length);
  #parts = 0;
  /** Of all senders: one a spool. */
  readonly #sent: SenderCounts = noCounts();
  readonly #incidents: Incidents;
  readonly #compressor: Compressor = new Compressor();
  #claim: Claim | undefined;
  #commits = 0;
  #folded = 0;
  #isClosed = false;

  constructor(options: MeteringOptions, connect: Connect | undefined) {
    this.#o = options;
    this.#connect = connect;
    const { clock, timers, config, metrics, log, disk = systemDisk } = options;
    this.#incidents = new Incidents(log, config);
    this.#keeper = new SpoolKeeper({
      ...options,
      disk,
      incidents: this.#incidents,
      onChange: (spool, isTold) => this.#use(spool, isTold),
      onAgain: () => this.#tell(),
    });
    this.commits = new TickCommits({
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

  /** Rejects with a ReeveError when the spool is another process's, or cannot be opened. */
  async start(): Promise<void> {
    const { timers, config, disk = systemDisk } = this.#o;
    // Beside the spool: it is put aside as a whole when it is fenced.
    const claim = await Claim.take({
      ...this.#o,
      disk,
      dir: config.dir,
      beatFile: `${config.dir}.beat`,
      lockFile: `${config.dir}.lock`,
      onLost: (cause) => this.#keeper.taken(cause),
      onRegained: () => this.#keeper.regained(),
    });
    this.#claim = claim;
    try {
      this.#keeper.open();
    } catch (cause) {
      claim.close();
      throw cause;
    }
    if (config.durability === 'interval') {
      const syncing = timers.every(SYNC_MS, () => this.#sync());
      this.#stops.push(() => syncing.cancel());
    }
    const looking = timers.every(LOOK_MS, () => this.#look());
    this.#stops.push(() => looking.cancel());
  }

  report(tenant: string, units: readonly Units[]): boolean {
    if (units.length > 0) this.#record(reportedRecord(this.#o.clock.wallMs(), tenant, units));
    return this.commits.commitNow();
  }

  status(): MeteringStatus {
    return statusOf(this.#view(), this.#o.config, this.#incidents.awayWhy);
  }

  async drain(graceMs: number): Promise<void> {
    this.commits.commitNow();
    const { spool } = this.#keeper;
    spool?.settle();
    if (spool === undefined || this.#sender === undefined) return;
    const isTold = await this.#sender.part(graceMs);
    this.#incidents.told(spool, isTold);
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    for (const stop of this.#stops) stop();
    this.#ladder?.stop();
    this.commits.commitNow();
    this.#sender?.close();
    this.#compressor.close();
    this.#keeper.close();
    this.#claim?.close();
  }

  #record(record: UsageRecord): void {
    if (record.isPart) this.#parts++;
    else (this.#records[OUTCOMES.indexOf(record.outcome)] as number) += 1;
    for (const { meter, units } of record.units)
      if (Math.abs(units) > UNITS_EACH_MAX) this.#incidents.cut(record.tenant, meter, units);
    this.commits.record(record);
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
    const { spool } = this.#keeper;
    if (connect === undefined || spool === undefined) return;
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
      pack: (payload, done) => this.#compressor.pack(payload, done),
      onFence: (reason) => this.#fenced(reason),
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

  #fenced(reason: string): void {
    this.#reader = undefined;
    this.#sender = undefined;
    this.#keeper.fence(reason);
  }

  #sync(): void {
    this.#keeper.spool?.sync().then(
      () => this.#incidents.synced(),
      (cause: unknown) => this.#incidents.notSynced(cause),
    );
  }

  /** Each second. */
  #look(): void {
    this.#keeper.look();
    this.commits.probe();
    this.#stage.recordParts();
    void this.#ladder?.run();
  }

  /** Records go there from now on. */
  #use(spool: Spool | undefined, isTold: boolean): void {
    this.#ladder?.stop();
    this.#sender?.close();
    this.#reader = undefined;
    this.#sender = undefined;
    this.commits.use(spool);
    this.#ladder = spool && this.#ladderOf(spool);
    if (isTold) this.#tell();
  }

  #view(): MeteringView {
    const { spool } = this.#keeper;
    const sender = this.#sender;
    return {
      records: this.#records,
      parts: this.#parts,
      commits: this.#commits,
      spoolBytes: spool?.bytes ?? 0,
      unacked: spool?.unacked ?? 0,
      oldestAgeSec: this.#oldestAgeSec(spool),
      lost: this.#incidents.lost,
      syncFailures: this.#incidents.syncFailures,
      damages: this.#incidents.damages,
      step: this.commits.isRefused ? 'full' : (this.#ladder?.step ?? 'full'),
      folded: this.#folded,
      sent: this.#sent,
      isConnected: sender?.state === 'telling' || sender?.state === 'parting',
    };
  }

  #oldestAgeSec(spool: Spool | undefined): number {
    if (spool === undefined || spool.unacked === 0) return 0;
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
