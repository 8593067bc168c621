/**
 * How long rows of rights are kept: until nobody can need them any more.
 *
 *   window of a quota that is known here   until it is over wherever on Earth, and two hours more
 *   any other, shares and wills            40 days: the longest window has 31
 *
 * A quota of days may become one of months, and a tenant may move to another zone: of a day with which a month or a billing period begins all is
 * kept until that is over, and days end everywhere 12 h after they do in UTC.
 *
 * A clock that was set ahead forgets windows that are not over. Such a window is not entered again: what was spent of it is not known.
 */
import type { Clock } from '../../core/index.ts';
import { DAY_MS } from '../quotas/calendar.ts';
import type { RowKey } from './row.ts';

/** A day is over everywhere 12 h after it is in UTC; 2 h more for what comes late. */
const OVER_MS = 14 * 3_600_000;
const LONGEST_DAYS = 40;
/** Events of gauges have seconds for days. */
const SECONDS_FROM = 1e6;
/** Windows of which it is remembered whether they are over: those of a full store. */
const ASKED_MAX = 2 ** 17;

/** The day before which the longest window is over that begins on `day`; undefined: no quota known here has one. */
export type WindowEnd = (tenant: string, meter: string, day: number) => number | undefined;

export class Retention {
  readonly #clock: Clock;
  readonly #askedMax: number;
  #windowEnd: WindowEnd = () => undefined;
  /** When rows were last forgotten, wall ms, and the last day of such; what was asked of since. */
  #forgotAt = 0;
  #forgotDay = -1;
  readonly #asked = new Map<string, boolean>();

  /** Another bound is for tests. */
  constructor(clock: Clock, askedMax: number = ASKED_MAX) {
    this.#clock = clock;
    this.#askedMax = askedMax;
  }

  serve(windowEnd: WindowEnd): void {
    this.#windowEnd = windowEnd;
  }

  /** Looks at the clock anew: what is over is asked of what is known now. */
  begin(): void {
    this.#asked.clear();
  }

  /** Whether nobody needs it any more. */
  isOver(key: RowKey): boolean {
    const { kind, tenant, meter, day } = key;
    const name = tenant === '' ? `${day}` : `${tenant} ${meter} ${day}`;
    let isOver = this.#asked.get(name);
    if (isOver === undefined) {
      isOver = this.#isOverAt(kind, tenant, meter, day, this.#clock.wallMs());
      if (this.#asked.size >= this.#askedMax) this.#asked.clear();
      this.#asked.set(name, isOver);
    }
    return isOver;
  }

  /** Rows of the day are forgotten now. */
  forgot(day: number): void {
    this.#forgotAt = Math.max(this.#forgotAt, this.#clock.wallMs());
    this.#forgotDay = Math.max(this.#forgotDay, day);
  }

  /** Whether rows of the window may have been forgotten although it is not over by the clock as it is now. */
  isForgotten(tenant: string, meter: string, day: number): boolean {
    return day <= this.#forgotDay && this.#isOverAt('spent', tenant, meter, day, this.#forgotAt);
  }

  #isOverAt(kind: RowKey['kind'], tenant: string, meter: string, day: number, wallMs: number): boolean {
    if (kind === 'event' && day > SECONDS_FROM) return day * 1000 < wallMs - OVER_MS - DAY_MS;
    const end = tenant === '' ? undefined : this.#windowEnd(tenant, meter, day);
    return wallMs >= (end ?? day + LONGEST_DAYS) * DAY_MS + OVER_MS;
  }
}
