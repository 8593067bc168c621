/**
 * The metrics registry. Hot counters and histograms are typed arrays that a request touches by index; they are read only
 * when Prometheus asks. prom-client keeps the process's own metrics and its exposition; ours are written beside it,
 * because its `labels()` hashes on every call and its exposition holds the loop for as long as it takes.
 *
 *   hot.add(index)  ──▶ Float64Array ──▶ exposition(): one family a chunk, the loop is yielded between slices
 */
import { collectDefaultMetrics, Gauge, Registry } from 'prom-client';
import { type LoopLag, quantileOf, type Timers } from '../core/index.ts';
import {
  type Exemplar,
  type Family,
  type Form,
  familyText,
  type Line,
  labelText,
  linesOf,
  type MetricRow,
  toOpenMetrics,
  writeHistogram,
} from './exposition.ts';
import { labelSetsMax } from './series.ts';

export type Labels = Readonly<Record<string, readonly string[]>>;

/** A counter with a fixed set of label values. `index` once, `add` on the hot path. */
export interface HotCounters {
  /** Position of one value of each label, in the order they were declared. Throws on a value that was not declared. */
  index(...values: readonly string[]): number;
  add(index: number, amount?: number): void;
  value(index: number): number;
}

export interface HotHistogram {
  index(...values: readonly string[]): number;
  /** `value` in the unit of the buckets. */
  observe(value: number, index?: number): void;
}

export type Emit = (labelValues: readonly string[], value: number) => void;

/** `exemplars`: one a bucket where there is one. */
export type EmitHistogram = (
  labelValues: readonly string[],
  counts: Float64Array,
  sum: number,
  exemplars?: readonly (Exemplar | undefined)[],
) => void;

export interface Metrics {
  counter(o: { name: string; help: string }): { add(amount?: number): void };
  counters(o: { name: string; help: string; labels: Labels }): HotCounters;
  histogram(o: { name: string; help: string; buckets: readonly number[]; labels?: Labels }): HotHistogram;
  gauge(o: { name: string; help: string; read: () => number }): void;
  /** A family whose rows are pulled at scrape. The owner emits at most `rowsMax`; default: every value of each label (series.ts). */
  collected(o: {
    name: string;
    help: string;
    type: 'counter' | 'gauge';
    labels: readonly string[];
    rowsMax?: number;
    collect: (emit: Emit) => void;
  }): void;
  /** The same for a histogram: counts of each bucket, not cumulative, +Inf last, and the sum. */
  collectedHistogram(o: {
    name: string;
    help: string;
    labels: readonly string[];
    buckets: readonly number[];
    collect: (emit: EmitHistogram) => void;
  }): void;
  /** In chunks; no slice between two chunks holds the loop for more than about 2 ms. */
  exposition(form?: Form): AsyncGenerator<string>;
  /** What is registered, for docs/metrics.md. */
  rows(): MetricRow[];
}

/** prom-client's own monitor of the loop wakes the process as often as this says: as good as never. */
const NEVER_MS = 2 ** 31 - 1;
const LAG_MS = 60_000;

const meanOf = (ms: Float64Array): number => ms.reduce((sum, each) => sum + each, 0) / Math.max(1, ms.length);

function deviationOf(ms: Float64Array): number {
  const mean = meanOf(ms);
  return Math.sqrt(meanOf(ms.map((each) => (each - mean) ** 2)));
}

/** In its place, under its names: what each says, ms, of how late the loop was over the last minute. */
const LAG_GAUGES: Readonly<Record<string, readonly [help: string, (ms: Float64Array) => number]>> = {
  reeve_nodejs_eventloop_lag_min_seconds: ['The least the event loop was late in the last minute.', (ms) => ms[0] ?? 0],
  reeve_nodejs_eventloop_lag_max_seconds: [
    'The most the event loop was late in the last minute.',
    (ms) => ms.at(-1) ?? 0,
  ],
  reeve_nodejs_eventloop_lag_mean_seconds: ['How late the event loop was in the last minute.', meanOf],
  reeve_nodejs_eventloop_lag_stddev_seconds: [
    'The standard deviation of how late the event loop was in the last minute.',
    deviationOf,
  ],
  reeve_nodejs_eventloop_lag_p50_seconds: [
    'How late the event loop was in the last minute, median.',
    (ms) => quantileOf(ms, 0.5),
  ],
  reeve_nodejs_eventloop_lag_p90_seconds: [
    'How late the event loop was in the last minute, p90.',
    (ms) => quantileOf(ms, 0.9),
  ],
  reeve_nodejs_eventloop_lag_p99_seconds: [
    'How late the event loop was in the last minute, p99.',
    (ms) => quantileOf(ms, 0.99),
  ],
};

/** `lag`: of the thread's loop; without it there are no metrics of that. */
export function createMetrics({ timers, lag }: { timers: Timers; lag?: LoopLag }): Metrics {
  const families = new Map<string, Family>();
  const own = new Registry();
  collectDefaultMetrics({ register: own, prefix: 'reeve_', eventLoopMonitoringPrecision: NEVER_MS });
  for (const [name, [help, ms]] of Object.entries(LAG_GAUGES)) {
    own.removeSingleMetric(name);
    if (lag !== undefined)
      new Gauge({
        ...{ name, help, registers: [own] },
        collect() {
          this.set(ms(lag.over(LAG_MS)) / 1000);
        },
      });
  }
  // Gauges that are named like counters: promtool refuses them, and their families by type stay.
  for (const each of ['handles', 'requests', 'resources']) own.removeSingleMetric(`reeve_nodejs_active_${each}_total`);

  const add = (family: Family): void => {
    if (!/^reeve_[a-z_]+$/.test(family.name) || families.has(family.name))
      throw new Error(`metric name ${family.name} is taken or malformed`);
    families.set(family.name, family);
  };

  return {
    counter({ name, help }) {
      let total = 0;
      add({ name, help, type: 'counter', labels: [], seriesMax: 1, write: (line) => line('', '', total) });
      return {
        add(amount = 1) {
          total += amount;
        },
      };
    },
    counters({ name, help, labels }) {
      const cells = new Cells(labels);
      const values = new Float64Array(cells.count);
      add({
        name,
        help,
        type: 'counter',
        labels: Object.keys(labels),
        seriesMax: cells.count,
        write: (line) => {
          for (let at = 0; at < values.length; at++)
            if ((values[at] as number) > 0) line('', cells.text(at), values[at] as number);
        },
      });
      return {
        index: (...each) => cells.index(each),
        add(at, amount = 1) {
          values[at] = (values[at] as number) + amount;
        },
        value: (at) => values[at] as number,
      };
    },
    histogram({ name, help, buckets, labels = {} }) {
      const cells = new Cells(labels);
      const histogram = new Histogram(buckets, cells);
      const seriesMax = cells.count * linesOf(buckets);
      const write: Family['write'] = (line) => histogram.write(line);
      add({ name, help, type: 'histogram', labels: Object.keys(labels), seriesMax, write });
      return histogram;
    },
    gauge({ name, help, read }) {
      add({ name, help, type: 'gauge', labels: [], seriesMax: 1, write: (line) => line('', '', read()) });
    },
    collected({ name, help, type, labels, rowsMax = labelSetsMax(labels), collect }) {
      const write: Family['write'] = (line) => collect((values, value) => line('', labelText(labels, values), value));
      add({ name, help, type, labels, seriesMax: rowsMax, write });
    },
    collectedHistogram({ name, help, labels, buckets, collect }) {
      const write: Family['write'] = (line) =>
        collect((values, ...of) => writeHistogram(line, labelText(labels, values), buckets, ...of));
      add({ name, help, type: 'histogram', labels, seriesMax: labelSetsMax(labels) * linesOf(buckets), write });
    },
    async *exposition(form = 'text') {
      for (const family of families.values()) {
        for (const chunk of familyText(family, form)) {
          yield chunk;
          await timers.yieldLoop();
        }
      }
      const text = await own.metrics();
      yield form === 'text' ? text : toOpenMetrics(text);
    },
    rows: () => [...families.values()].map(({ write: _write, ...row }) => row),
  };
}

/** Every combination of fixed label values as a dense index, the last label fastest. */
class Cells {
  readonly count: number;
  readonly #names: readonly string[];
  readonly #values: readonly (readonly string[])[];

  constructor(labels: Labels) {
    this.#names = Object.keys(labels);
    this.#values = Object.values(labels);
    this.count = this.#values.reduce((product, values) => product * values.length, 1);
  }

  index(each: readonly string[]): number {
    let index = 0;
    for (let i = 0; i < this.#values.length; i++) {
      const values = this.#values[i] as readonly string[];
      const at = values.indexOf(each[i] as string);
      if (at === -1) throw new RangeError(`label ${this.#names[i]} has no value ${each[i]}`);
      index = index * values.length + at;
    }
    return index;
  }

  text(index: number): string {
    const chosen: string[] = [];
    let rest = index;
    for (let i = this.#values.length - 1; i >= 0; i--) {
      const values = this.#values[i] as readonly string[];
      chosen.unshift(values[rest % values.length] as string);
      rest = Math.floor(rest / values.length);
    }
    return labelText(this.#names, chosen);
  }
}

/**
 *   one row a cell:  [ ≤ b0 | ≤ b1 | … | ≤ +Inf | sum ]      counts are not cumulative until they are written
 */
class Histogram implements HotHistogram {
  readonly #buckets: readonly number[];
  readonly #cells: Cells;
  readonly #width: number;
  readonly #values: Float64Array;

  constructor(buckets: readonly number[], cells: Cells) {
    this.#buckets = buckets;
    this.#cells = cells;
    this.#width = buckets.length + 2;
    this.#values = new Float64Array(cells.count * this.#width);
  }

  index(...values: readonly string[]): number {
    return this.#cells.index(values);
  }

  observe(value: number, index = 0): void {
    let low = 0;
    let high = this.#buckets.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (value <= (this.#buckets[middle] as number)) high = middle;
      else low = middle + 1;
    }
    const row = index * this.#width;
    (this.#values[row + low] as number) += 1;
    (this.#values[row + this.#width - 1] as number) += value;
  }

  write(line: Line): void {
    for (let cell = 0; cell < this.#cells.count; cell++) {
      const row = this.#values.subarray(cell * this.#width, (cell + 1) * this.#width);
      const labels = this.#cells.text(cell);
      const counts = row.subarray(0, -1);
      if (this.#cells.count > 1 && counts.every((count) => count === 0)) continue;
      writeHistogram(line, labels, this.#buckets, counts, row[this.#width - 1] as number);
    }
  }
}
