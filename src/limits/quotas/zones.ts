/**
 * When the days of a zone begin, by the rules that `Intl` has of it. Found by search, because no interface gives the
 * transitions; once a zone and day, never in a request.
 *
 *   local day   D−1 D−1 D−1 │ D   D   D          the first instant that is no longer D−1
 *   UTC       lo ───────────┴──────────── hi     (D − 15 h … D + 13 h: offsets lie between −12 h and +14 h)
 *
 * A day may have 23, 24 or 25 hours, begin at 01:00 where midnight is skipped, and be missing where a zone crossed the date line.
 */
import { BoundedMap } from '../../core/index.ts';
import { DAY_MS } from './calendar.ts';

const HOUR_MS = 3_600_000;
/** About 440 zones with the bounds of two months each would be more; the least recent are found anew in 0.1 ms. */
const STARTS_MAX = 4096;
/** One is about 20 KiB of ICU; a zone is asked about once a day. */
const FORMATS_MAX = 32;

export class Zones {
  readonly #starts = new BoundedMap<string, number>(STARTS_MAX);
  readonly #formats = new BoundedMap<string, Intl.DateTimeFormat>(FORMATS_MAX);

  /** Wall ms at which the day begins in the zone. */
  startOf(zone: string, day: number): number {
    const key = `${zone} ${day}`;
    let start = this.#starts.get(key);
    if (start === undefined) {
      start = this.#search(zone, day);
      this.#starts.set(key, start);
    }
    return start;
  }

  /** The day that it is in the zone: the last that has begun. A clock that is turned back over midnight begins no day anew. */
  dayAt(zone: string, wallMs: number): number {
    let day = localDay(this.#formatOf(zone), wallMs);
    while (this.startOf(zone, day + 1) <= wallMs) day++;
    return day;
  }

  #search(zone: string, day: number): number {
    const format = this.#formatOf(zone);
    let before = day * DAY_MS - 15 * HOUR_MS;
    let after = day * DAY_MS + 13 * HOUR_MS;
    while (after - before > 1) {
      const middle = Math.floor((before + after) / 2);
      if (localDay(format, middle) >= day) after = middle;
      else before = middle;
    }
    return after;
  }

  #formatOf(zone: string): Intl.DateTimeFormat {
    let format = this.#formats.get(zone);
    if (format === undefined) {
      format = new Intl.DateTimeFormat('en-US', {
        timeZone: zone,
        calendar: 'gregory',
        numberingSystem: 'latn',
        year: 'numeric',
        month: 'numeric',
        day: 'numeric',
      });
      this.#formats.set(zone, format);
    }
    return format;
  }
}

/** Of `11/26/2026`. */
function localDay(format: Intl.DateTimeFormat, wallMs: number): number {
  const [month, day, year] = format.format(wallMs).split('/') as [string, string, string];
  return Date.UTC(Number(year), Number(month) - 1, Number(day)) / DAY_MS;
}
