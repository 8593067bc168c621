/**
 * Hands what quotas count here over to a collector, and takes what it kept of the fleet at the start: so counts outlive a fleet whose sidecars and
 * disks are all gone.
 *
 *   start ─ restore ─▶ ready ─▶ hand over ─ each second; 50 ms behind what a hard quota waits for ─▶ allowance
 *              └ nothing comes for 5 s: ready without, said, and tried again
 *
 * A collector that does not answer for two seconds holds nothing up any more, and is asked ever less often, each 10 s at last.
 *
 * Bounds: one call at a time, of `ROWS_MAX` rows.
 */
import type { Clock, Random, Timer, Timers } from '../../core/index.ts';
import type { Log } from '../../telemetry/index.ts';
import type { Said } from './allowance.ts';
import type { FleetQuotas } from './fleet-quotas.ts';
import { type KeptRow, keptAhead, keptLife } from './kept-row.ts';

/** About 200 kB. */
const ROWS_MAX = 2000;
/** How often it is looked whether something is to be handed over, ms. */
const LOOK_MS = 50;
/** Until what is counted is handed over; what is spent of hard quotas; and something at all, ms. */
const [COUNT_MS, SPENT_MS, IDLE_MS] = [1000, 250, 5000] as const;
/** What is kept is waited for while some of it comes each so often, ms. */
const RESTORE_IDLE_MS = 5000;
/** In all, ms: of a start, and later, when nobody waits for it. */
const [RESTORE_MS, RESTORE_LATER_MS] = [30_000, 60_000] as const;
const KEEP_MS = 5000;
/** Who does not answer for so long is away, ms. */
const AWAY_MS = 2000;
const [BACKOFF_MS_MIN, BACKOFF_MS_MAX] = [250, 10_000] as const;
/** For the last, ms. */
const LEAVE_MS = 1500;
const DAY_MS = 86_400_000;

/** Who keeps rows, for a fleet. */
export interface RowKeeper {
  /** Resolves when they are on its medium. `storeId`: where it is another, nothing of before is there. */
  keep(rows: readonly KeptRow[], withinMs: number): Promise<{ readonly refused: number; readonly storeId: string }>;
  /** Resolves when all came. Rejects when nothing came for `idleMs`, or not all within `withinMs`. */
  restore(onRows: (rows: readonly KeptRow[]) => void, idleMs: number, withinMs: number): Promise<void>;
}

export interface CheckpointOptions {
  readonly fleet: FleetQuotas;
  readonly keeper: RowKeeper;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly random: Random;
  readonly log: Log;
}

export class Checkpoint {
  readonly counts: { kept: number; refused: number; restored: number; failures: number } = {
    ...{ kept: 0, refused: 0, restored: 0, failures: 0 },
  };
  readonly #o: CheckpointOptions;
  #timer: Timer | undefined;
  #running: Promise<void> | undefined;
  #isRestored = false;
  #storeId: string | undefined;
  /** The last day on which the collector knows that this sidecar was there, in UTC. */
  #lifeDay = -1;
  #isPressed = false;
  #handedAt = Number.NEGATIVE_INFINITY;
  #dueAt = 0;
  #failuresInRow = 0;
  /** Since when nothing was answered, ms; undefined: the last was. */
  #askedAt: number | undefined;
  #isAway = true;

  constructor(options: CheckpointOptions) {
    this.#o = options;
    options.fleet.allowance.onPress = () => {
      this.#isPressed = true;
    };
  }

  /** Whether the collector has what is counted here, but for the last second. */
  get isKept(): boolean {
    return !this.#isAway;
  }

  /** Resolves when what the collector kept is known here, or it is not waited for any longer. Never rejects. */
  async start(): Promise<void> {
    try {
      await this.#restore(RESTORE_MS);
    } catch (cause) {
      this.#o.log.warn('quota.not_restored', {
        cause,
        effect: 'where no other sidecar and no disk has them, quotas begin anew until the collector answers',
        remedy: 'see that metering.collector is there',
      });
    }
    this.#timer = this.#o.timers.every(LOOK_MS, () => this.#look());
  }

  /** Hands over the last, and that it is the last; `LEAVE_MS` at most. Nothing is admitted here any more. */
  async leave(): Promise<void> {
    this.#timer?.cancel();
    await this.#running;
    if (this.#isRestored) await this.#attempt(() => this.#hand(LEAVE_MS, true));
  }

  close(): void {
    this.#timer?.cancel();
    this.#o.fleet.allowance.become('free');
  }

  #look(): void {
    const { clock, fleet } = this.#o;
    const now = clock.now();
    if (this.#askedAt !== undefined && now - this.#askedAt >= AWAY_MS) this.#away();
    if (this.#running !== undefined || now < this.#dueAt) return;
    const restMs = now - this.#handedAt;
    const isDue =
      this.#isPressed ||
      (fleet.allowance.isTouched && restMs >= SPENT_MS) ||
      (fleet.changes.isBehind && restMs >= COUNT_MS) ||
      restMs >= IDLE_MS ||
      this.#isLifeDue;
    if (!isDue) return;
    this.#isPressed = false;
    this.#running = this.#attempt(async () => {
      if (!this.#isRestored) await this.#restore(RESTORE_LATER_MS);
      await this.#hand(KEEP_MS, false);
    }).finally(() => {
      this.#running = undefined;
    });
  }

  async #attempt(run: () => Promise<void>): Promise<void> {
    const { clock, random, log } = this.#o;
    this.#askedAt ??= clock.now();
    try {
      await run();
      this.#askedAt = undefined;
      this.#failuresInRow = 0;
      this.#handedAt = clock.now();
      if (this.#isAway) log.info('quota.kept', { restored: this.counts.restored });
      this.#isAway = false;
    } catch (cause) {
      this.counts.failures++;
      const delay = Math.min(BACKOFF_MS_MAX, BACKOFF_MS_MIN * 2 ** this.#failuresInRow++);
      this.#dueAt = clock.now() + delay * (0.5 + random.float() / 2);
      if (this.#failuresInRow === 1)
        log.warn('quota.not_kept', {
          cause,
          effect: 'counts since then are lost if all sidecars and their disks are',
          remedy: 'see that metering.collector is there, and of this version',
        });
    }
  }

  #away(): void {
    this.#isAway = true;
    this.#o.fleet.allowance.become('free');
  }

  async #restore(withinMs: number): Promise<void> {
    const { keeper, fleet } = this.#o;
    const take = (rows: readonly KeptRow[]): void => {
      for (const each of rows) fleet.restore(each);
      this.counts.restored += rows.length;
    };
    await keeper.restore(take, RESTORE_IDLE_MS, withinMs);
    this.#isRestored = true;
    fleet.restored();
    // It is there, and does not know of this sidecar yet.
    fleet.allowance.become('shut');
  }

  get #today(): number {
    return Math.floor(this.#o.clock.wallMs() / DAY_MS);
  }

  get #isLifeDue(): boolean {
    return this.#lifeDay !== this.#today && this.#o.fleet.isEndowed;
  }

  /** What there is when it begins, in calls of so many rows. */
  async #hand(withinMs: number, isLast: boolean): Promise<void> {
    const { fleet } = this.#o;
    const { allowance, changes } = fleet;
    const said = allowance.say();
    const today = this.#today;
    const isLife = this.#isLifeDue || (isLast && this.#lifeDay !== -1 && !fleet.isSpending);
    let first = [...(isLife ? [keptLife(fleet.actor, today, isLast)] : []), ...aheadRows(said, fleet.actor)];
    for (let isAll = false; !isAll; ) {
      const batch = changes.next(ROWS_MAX);
      isAll = batch.isAll;
      await this.#keep([...first, ...batch.rows], withinMs);
      changes.done();
      first = [];
    }
    if (isLife) this.#lifeDay = today;
    allowance.confirm(said);
    if (this.#lifeDay !== -1) allowance.become('held');
  }

  async #keep(rows: readonly KeptRow[], withinMs: number): Promise<void> {
    const { keeper, fleet } = this.#o;
    const { refused, storeId } = await keeper.keep(rows, withinMs);
    this.counts.kept += rows.length - refused;
    this.counts.refused += refused;
    const isOther = this.#storeId !== undefined && this.#storeId !== storeId;
    this.#storeId = storeId;
    if (!isOther) return;
    fleet.changes.begin();
    fleet.allowance.forget();
    this.#lifeDay = -1;
    throw new Error('the collector began anew: it is told all again');
  }
}

function aheadRows(said: readonly Said[], self: string): KeptRow[] {
  return said.flatMap(({ tenant, line, from, ahead }) =>
    ahead === undefined ? [] : [keptAhead(tenant, line.quota.meter, from, self, ahead)],
  );
}
