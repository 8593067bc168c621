/** What goes wrong with a spool and its collector: counted, and said to the operator once each time it begins. */
import type { Log } from '../telemetry/index.ts';
import type { MeteringConfig } from '../tenants/index.ts';
import type { Damage } from '../wal/index.ts';
import { type Spool, SpoolFull } from './spool.ts';
import { UNITS_EACH_MAX } from './usage-record.ts';

const NO_TWO =
  'no two sidecars may share a spool, and none be restored from a copy; what was not told of it stands there';

export class Incidents {
  readonly #log: Log;
  readonly #config: MeteringConfig;
  lost = 0;
  syncFailures = 0;
  damages = 0;
  #unitsCut = 0;
  #isLosing = false;
  #isSyncSound = true;
  /** Why no collector takes what is told; undefined: one does, or none was asked yet. */
  awayWhy: string | undefined;

  constructor(log: Log, config: MeteringConfig) {
    this.#log = log;
    this.#config = config;
  }

  /** Records that the disk refused. */
  lose(records: number, cause: unknown): void {
    this.lost += records;
    if (this.#isLosing) return;
    this.#isLosing = true;
    const isFull = cause instanceof SpoolFull;
    const remedy = isFull
      ? 'raise metering.maxBytes, or let the collector be reached'
      : 'look at the disk of the spool';
    this.#log.error('metering.records_lost', { cause, policy: this.#config.onFull, remedy });
  }

  /** Units that are more than one use can have. */
  cut(tenant: string, meter: string, units: number): void {
    this.#unitsCut++;
    if (this.#unitsCut > 1 && this.#unitsCut % 1000 !== 0) return;
    this.#log.warn('metering.units_cut', { tenant, meter, units, recorded: UNITS_EACH_MAX, times: this.#unitsCut });
  }

  back(): void {
    this.#isLosing = false;
    this.#log.warn('metering.recorded_again', { lost: this.lost });
  }

  notSynced(cause: unknown): void {
    this.syncFailures++;
    if (!this.#isSyncSound) return;
    this.#isSyncSound = false;
    this.#log.error('metering.not_synced', {
      cause,
      remedy: 'look at the disk: a crash of the machine may now cost records',
    });
  }

  synced(): void {
    this.#isSyncSound = true;
  }

  damaged({ path, what, bytes, detail }: Damage): void {
    this.damages++;
    this.#log.warn('metering.spool_damaged', { path, what, bytes, detail });
  }

  notRemoved(cause: unknown): void {
    this.#log.warn('metering.not_removed', { cause, remedy: 'the files are found again by the next start' });
  }

  away(why: string): void {
    if (this.awayWhy === undefined)
      this.#log.warn('metering.collector_away', { address: this.#config.collector?.address, why });
    this.awayWhy = why;
  }

  found({ unacked }: Spool): void {
    this.awayWhy = undefined;
    this.#log.info('metering.collector_found', { address: this.#config.collector?.address, unacked });
  }

  fenced({ head, unacked }: Spool, reason: string, aside: string): void {
    this.#log.error('metering.fenced', { spool: head.spoolId, reason, aside, untold: unacked, remedy: NO_TWO });
  }

  notPutAside(cause: unknown, aside: string): void {
    const remedy =
      'make the directory above writable; records are kept, nobody is told, and it is tried again in 10 min';
    this.#log.error('metering.not_put_aside', { cause, aside, remedy });
  }

  fencedAgain({ head }: Spool, reason: string): void {
    const remedy = 'look at the collector; it is asked again in 10 min';
    this.#log.error('metering.fenced_again', { spool: head.spoolId, reason, remedy });
  }

  missing({ unacked }: Spool): void {
    this.#log.error('metering.spool_missing', {
      place: this.#config.dir,
      untold: unacked,
      remedy: 'nobody but its sidecar may remove a spool; a new one is begun',
    });
  }

  taken(cause: unknown, spool: Spool | undefined): void {
    const remedy = 'stop one of the two; it is taken up again when the other one is gone';
    this.#log.error('metering.spool_taken', { cause, place: this.#config.dir, untold: spool?.unacked, remedy });
  }

  begun({ head }: Spool): void {
    this.#log.warn('metering.spool_begun', { place: this.#config.dir, spool: head.spoolId });
  }

  noSpool(cause: unknown): void {
    const remedy = 'make the directory writable, with room; it is tried again each second';
    this.#log.error('metering.no_spool', { cause, remedy });
  }

  told({ head, unacked }: Spool, isAll: boolean): void {
    if (isAll) this.#log.info('metering.told', { spool: head.spoolId });
    else
      this.#log.warn('metering.not_all_told', {
        records: unacked,
        remedy: 'keep the spool: its next opening tells them',
      });
  }
}
