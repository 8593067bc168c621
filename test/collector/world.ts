/** A collector over a ledger in memory, in virtual time. */
import { Collector, type CollectorOptions } from '../../src/collector/collector.ts';
import { SegmentLedger } from '../../src/collector/segment-ledger.ts';
import type { Session } from '../../src/collector/session.ts';
import type { UsageRecord } from '../../src/metering/usage-record.ts';
import type { Log } from '../../src/telemetry/index.ts';
import { silentLog } from '../../src/telemetry/index.ts';
import type { Damage } from '../../src/wal/index.ts';
import { MemoryDisk } from '../metering/memory-disk.ts';
import { VirtualTime } from '../metering/world.ts';
import { ALL_REQUESTS, type Kept, MemoryRollups } from './memory-rollups.ts';
import { Heard, T0, type Teller, usage } from './told.ts';

export const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

export class World {
  readonly disk = new MemoryDisk();
  readonly time = new VirtualTime();
  readonly kept: Kept = { word: undefined, rows: [] };
  readonly events: string[] = [];
  readonly damages: Damage[] = [];
  store = new MemoryRollups(this.kept);
  segmentBytes: number | undefined;

  constructor() {
    this.time.wall = T0 + 1000;
  }

  async open(more: Partial<CollectorOptions> = {}): Promise<Collector> {
    this.store = new MemoryRollups(this.kept);
    const note = (event: string): void => void this.events.push(event);
    const log: Log = { ...silentLog, info: note, warn: note, error: note };
    return Collector.open({
      clock: this.time,
      timers: this.time,
      log,
      store: this.store,
      creditBytes: 10_000_000,
      graceMs: 60_000,
      patienceMs: 900_000,
      keepLedgerMs: 86_400_000,
      openLedger: (from) =>
        SegmentLedger.open({
          dir: '/ledger',
          disk: this.disk,
          clock: this.time,
          from,
          ...(this.segmentBytes === undefined ? {} : { segmentBytes: this.segmentBytes }),
          onDamage: (damage) => this.damages.push(damage),
        }),
      ...more,
    });
  }

  /** All that can go on goes on. */
  async run(ms = 0): Promise<void> {
    for (let i = 0; i < 12; i++) {
      this.time.turn();
      await turn();
    }
    if (ms === 0) return;
    this.time.advance(ms);
    await this.run();
  }

  async greet(collector: Collector, teller: Teller): Promise<{ readonly session: Session; readonly heard: Heard }> {
    const heard = new Heard();
    const session = collector.session(heard);
    session.receive(teller.hello());
    await this.run();
    return { session, heard };
  }

  /** A collector that was told so many batches of one record, a segment of the ledger each. */
  async told(teller: Teller, batches: number): Promise<{ readonly collector: Collector; readonly session: Session }> {
    this.segmentBytes = 100;
    const collector = await this.open();
    const { session } = await this.greet(collector, teller);
    for (let i = 0; i < batches; i++) {
      session.receive(teller.batch(many(1)));
      await this.run();
    }
    return { collector, session };
  }

  async requests(): Promise<number> {
    const rows = await this.store.query(ALL_REQUESTS);
    return 'tooMany' in rows ? -1 : (rows[0]?.value ?? 0);
  }
}

export const many = (count: number, more: object = {}): UsageRecord[] =>
  Array.from({ length: count }, () => usage(more));
