/**
 * Hands what quotas count here over to a collector, and takes what it kept of the fleet at the start: so counts outlive a fleet whose sidecars and
 * disks are all gone.
 *
 *   start ─ restore ─▶ ready ─▶ hand over ─ each second; 50 ms behind what a hard quota waits for ─▶ allowance
 *              └ nothing comes for 5 s: ready without, said, and tried again
 *
 * A collector that does not answer for two seconds holds nothing up any more, and is asked ever less often, each 10 s at last. Nor does one that
 * has no room: it is asked again each minute.
 *
 * Bounds: one call at a time, of `ROWS_MAX` rows.
 */
import type { Clock, Random, Timer, Timers } from '../../core/index.ts';
import type { Log } from '../../telemetry/index.ts';
import { DAY_MS } from '../quotas/calendar.ts';
import type { Said } from './allowance.ts';
import type { KeptQuotas } from './kept-quotas.ts';
import { type KeptRow, keptAhead, keptLife } from './kept-row.ts';

/** About 20 kB, and a millisecond of the loop. */
const ROWS_MAX = 200;
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
/** Who has no room is handed all of it again. */
const FULL_MS = 60_000;
/** For the last, ms. */
const LEAVE_MS = 1500;

/** Who keeps rows, for a fleet. */
export interface RowKeeper {
  /** Resolves when they are on its medium. `storeId`: where it is another, nothing of before is there. */
  keep(rows: readonly KeptRow[], withinMs: number): Promise<{ readonly refused: number; readonly storeId: string }>;
  /** Resolves when all came. Rejects when nothing came for `idleMs`, or not all within `withinMs`. */
  restore(onRows: (rows: readonly KeptRow[]) => void, idleMs: number, withinMs: number): Promise<void>;
}

/** What hard quotas wait for. */
interface Urgent {
  readonly said: readonly Said[];
  readonly rows: readonly KeptRow[];
  /** The day of which the collector is told that this sidecar is there; undefined: it knows. */
  readonly lifeDay: number | undefined;
}

/** There is no room for so many rows. */
class NoRoom extends Error {
  constructor(rows: number) {
    super(`the collector has no room for ${rows} rows`);
  }
}

export interface CheckpointOptions {
  readonly quotas: KeptQuotas;
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
  #isFull = false;
  #isOver = false;
  /** Since when nothing was answered, ms; undefined: the last was. */
  #askedAt: number | undefined;
  #isAway = true;

  constructor(options: CheckpointOptions) {
    this.#o = options;
    options.quotas.allowance.onPress = () => {
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
    const { timers } = this.#o;
    await new Promise<void>((resolve) => {
      const late = timers.after(LEAVE_MS, resolve);
      void this.#handLast().finally(() => {
        late.cancel();
        resolve();
      });
    });
    this.#isOver = true;
  }

  async #handLast(): Promise<void> {
    await this.#running;
    if (this.#isRestored && !this.#isOver) await this.#attempt(() => this.#hand(LEAVE_MS, true));
  }

  close(): void {
    this.#isOver = true;
    this.#timer?.cancel();
    this.#o.quotas.allowance.become('free');
  }

  #look(): void {
    const { clock, quotas } = this.#o;
    const now = clock.now();
    if (this.#askedAt !== undefined && now - this.#askedAt >= AWAY_MS) this.#away();
    if (this.#running !== undefined || now < this.#dueAt) return;
    const restMs = now - this.#handedAt;
    const isDue =
      this.#isPressed ||
      (quotas.allowance.isTouched && restMs >= SPENT_MS) ||
      (quotas.changes.isBehind && restMs >= COUNT_MS) ||
      restMs >= IDLE_MS ||
      this.#isLifeDue;
    if (!isDue) return;
    this.#running = this.#attempt(async () => {
      if (!this.#isRestored) await this.#restore(RESTORE_LATER_MS);
      await this.#hand(KEEP_MS, false);
    }).finally(() => {
      this.#running = undefined;
    });
  }

  async #attempt(run: () => Promise<void>): Promise<void> {
    const { clock, log } = this.#o;
    this.#askedAt ??= clock.now();
    try {
      await run();
      this.#askedAt = undefined;
      this.#failuresInRow = 0;
      this.#isFull = false;
      this.#handedAt = clock.now();
      if (this.#isAway) log.info('quota.kept', { restored: this.counts.restored });
      this.#isAway = false;
    } catch (cause) {
      this.#failed(cause);
    }
  }

  #failed(cause: unknown): void {
    const { clock, random, log } = this.#o;
    const isFull = cause instanceof NoRoom;
    const isNews = this.#failuresInRow === 0 || isFull !== this.#isFull;
    const delay = isFull ? FULL_MS : Math.min(BACKOFF_MS_MAX, BACKOFF_MS_MIN * 2 ** this.#failuresInRow);
    this.counts.failures++;
    this.#failuresInRow++;
    this.#isFull = isFull;
    this.#dueAt = clock.now() + delay * (0.5 + random.float() / 2);
    if (isFull) {
      this.#askedAt = undefined;
      this.#away();
    }
    if (!isNews) return;
    log.warn('quota.not_kept', {
      cause,
      effect: 'counts since then are lost if all sidecars and their disks are',
      remedy: isFull
        ? 'give fleets collectors of their own, or have quotas of fewer meters'
        : 'see that metering.collector is there, and of this version',
    });
  }

  #away(): void {
    this.#isAway = true;
    this.#o.quotas.allowance.become('free');
  }

  async #restore(withinMs: number): Promise<void> {
    const { keeper, quotas } = this.#o;
    const take = (rows: readonly KeptRow[]): void => {
      for (const each of rows) quotas.restore(each);
      this.counts.restored += rows.length;
    };
    await keeper.restore(take, RESTORE_IDLE_MS, withinMs);
    this.#isRestored = true;
    quotas.restored();
    // It is there, and does not know of this sidecar yet.
    quotas.allowance.become('shut');
  }

  get #today(): number {
    return Math.floor(this.#o.clock.wallMs() / DAY_MS);
  }

  get #isLifeDue(): boolean {
    return this.#lifeDay !== this.#today && this.#o.quotas.isEndowed;
  }

  /** What there is when it begins, in calls of so many rows. Where that is much, hard quotas do not wait for all of it. */
  async #hand(withinMs: number, isLast: boolean): Promise<void> {
    const { changes } = this.#o.quotas;
    let urgent: Urgent | undefined = this.#urgent();
    let refused = 0;
    changes.mark();
    for (let isAll = false; !isAll; ) {
      const batch = changes.next(ROWS_MAX);
      isAll = batch.isAll && (urgent === undefined || urgent.rows.length <= ROWS_MAX);
      if (!isAll && (urgent !== undefined || this.#isPressed)) {
        refused += await this.#handUrgent(urgent ?? this.#urgent(), withinMs);
        urgent = undefined;
      }
      const refusedNow = await this.#keep([...(urgent?.rows ?? []), ...batch.rows], withinMs);
      changes.done(refusedNow);
      refused += refusedNow;
    }
    if (refused > 0) throw new NoRoom(refused);
    if (urgent !== undefined) this.#confirm(urgent);
    if (isLast) await this.#sayFarewell(withinMs);
  }

  #urgent(): Urgent {
    const { actor, allowance } = this.#o.quotas;
    this.#isPressed = false;
    const said = allowance.say();
    const lifeDay = this.#isLifeDue ? this.#today : undefined;
    const life = lifeDay === undefined ? [] : [keptLife(actor, lifeDay, false)];
    return { said, lifeDay, rows: [...life, ...aheadRows(said, actor)] };
  }

  /** With what was counted of it. How many rows there was no room for. */
  async #handUrgent(urgent: Urgent, withinMs: number): Promise<number> {
    let refused = 0;
    let rows: KeptRow[] = [];
    for (const each of this.#rowsOf(urgent)) {
      if (rows.push(each) < ROWS_MAX) continue;
      refused += await this.#keep(rows, withinMs);
      rows = [];
    }
    refused += await this.#keep(rows, withinMs);
    if (refused === 0) this.#confirm(urgent);
    return refused;
  }

  *#rowsOf({ rows, said }: Urgent): Generator<KeptRow> {
    yield* rows;
    const { changes } = this.#o.quotas;
    for (const { tenant, line } of said) yield* changes.ofQuota(tenant, line.quota.meter, line.from, line.to);
  }

  #confirm({ said, lifeDay }: Urgent): void {
    const { allowance } = this.#o.quotas;
    this.#lifeDay = lifeDay ?? this.#lifeDay;
    allowance.confirm(said);
    if (this.#lifeDay !== -1) allowance.become('held');
  }

  /** Behind all that was counted. Not where somebody may still spend, or the collector does not know of this sidecar. */
  async #sayFarewell(withinMs: number): Promise<void> {
    const { quotas } = this.#o;
    if (this.#lifeDay === -1 || quotas.isSpending) return;
    await this.#keep([keptLife(quotas.actor, this.#today, true)], withinMs);
  }

  /** How many there was no room for. */
  async #keep(rows: readonly KeptRow[], withinMs: number): Promise<number> {
    const { keeper, quotas, clock } = this.#o;
    if (this.#isOver) throw new Error('this sidecar leaves');
    const { refused, storeId } = await keeper.keep(rows, withinMs);
    this.#askedAt = clock.now();
    this.counts.kept += rows.length - refused;
    this.counts.refused += refused;
    const isOther = this.#storeId !== undefined && this.#storeId !== storeId;
    this.#storeId = storeId;
    if (!isOther) return refused;
    quotas.changes.begin();
    quotas.allowance.forget();
    this.#lifeDay = -1;
    throw new Error('the collector began anew: it is told all again');
  }
}

function aheadRows(said: readonly Said[], self: string): KeptRow[] {
  return said.flatMap(({ tenant, line, from, ahead }) =>
    ahead === undefined ? [] : [keptAhead(tenant, line.quota.meter, from, self, ahead)],
  );
}
