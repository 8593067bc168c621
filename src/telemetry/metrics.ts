/**
 * The metrics registry. Hot counters and histograms are typed arrays that a request touches by index; they are read only
 * when Prometheus asks. prom-client keeps the process's own metrics and its exposition; ours are written beside it,
 * because its `labels()` hashes on every call and its exposition holds the loop for as long as it takes.
 *
 *   hot.add(index)  ──▶ Float64Array ──▶ exposition(): one family a chunk, the loop is yielded between slices
 */
import { collectDefaultMetrics, Registry } from 'prom-client';
import type { Timers } from '../core/index.ts';
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

/** One observation of a bucket, to be looked up elsewhere: label values of at most 128 characters in all, names included. */
export interface Exemplar {
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
  readonly wallMs: number;
}

/** `exemplars`: one a bucket where there is one. */
export type EmitHistogram = (
  labelValues: readonly string[],
  counts: Float64Array,
  sum: number,
  exemplars?: readonly (Exemplar | undefined)[],
) => void;

/** `text`: Prometheus's text format 0.0.4. `openmetrics`: OpenMetrics 1.0.0, the one with exemplars. */
export type Form = 'text' | 'openmetrics';

export interface MetricRow {
  readonly name: string;
  readonly type: 'counter' | 'gauge' | 'histogram';
  readonly help: string;
  readonly labels: readonly string[];
  /** Lines of the exposition at worst, whatever happens. */
  readonly seriesMax: number;
}

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

/** Lines written before the loop is yielded: 200 lines take under 1 ms. */
const SLICE_LINES = 200;
export const CONTENT_TYPES: Readonly<Record<Form, string>> = {
  text: 'text/plain; version=0.0.4; charset=utf-8',
  openmetrics: 'application/openmetrics-text; version=1.0.0; charset=utf-8',
};

type Line = (suffix: string, labels: string, value: number, exemplar?: Exemplar) => void;

interface Family extends MetricRow {
  readonly write: (line: Line) => void;
}

export function createMetrics({ timers }: { timers: Timers }): Metrics {
  const families = new Map<string, Family>();
  const own = new Registry();
  collectDefaultMetrics({ register: own, prefix: 'reeve_' });
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
      yield form === 'text' ? text : `${text.replaceAll(COUNTER_HEAD, '$1 ').replaceAll(/\n{2,}/g, '\n')}# EOF\n`;
    },
    rows: () => [...families.values()].map(({ write: _write, ...row }) => row),
  };
}

/** In OpenMetrics `_total` belongs to the sample, not to the family. */
const TOTAL = /_total$/;
const COUNTER_HEAD = /^(# (?:HELP|TYPE) \w+)_total /gm;

/** The text of a family in slices of bounded length. Rows are read in one go, so that a family is of one moment. */
function* familyText({ name, help, type, write }: Family, form: Form): Generator<string> {
  const family = form === 'text' ? name : name.replace(TOTAL, '');
  let text = `# HELP ${family} ${help}\n# TYPE ${family} ${type}\n`;
  const rows: Parameters<Line>[] = [];
  write((...row) => rows.push(row));
  for (let at = 0; at < rows.length; at++) {
    const [suffix, labels, value, exemplar] = rows[at] as Parameters<Line>;
    const more = exemplar === undefined || form === 'text' ? '' : exemplarText(exemplar);
    text += `${name}${suffix}${labels === '' ? '' : `{${labels}}`} ${value}${more}\n`;
    if (at % SLICE_LINES !== SLICE_LINES - 1) continue;
    yield text;
    text = '';
  }
  yield text;
}

function exemplarText({ labels, value, wallMs }: Exemplar): string {
  return ` # {${labelText(Object.keys(labels), Object.values(labels))}} ${value} ${wallMs / 1000}`;
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

/** A line a bucket, +Inf, sum and count. */
function linesOf(buckets: readonly number[]): number {
  return buckets.length + 3;
}

function writeHistogram(
  line: Line,
  labels: string,
  buckets: readonly number[],
  counts: Float64Array,
  sum: number,
  exemplars: readonly (Exemplar | undefined)[] = [],
): void {
  const comma = labels === '' ? '' : ',';
  let below = 0;
  for (let i = 0; i <= buckets.length; i++) {
    below += counts[i] as number;
    line('_bucket', `${labels}${comma}le="${buckets[i] ?? '+Inf'}"`, below, exemplars[i]);
  }
  line('_sum', labels, sum);
  line('_count', labels, below);
}

function labelText(names: readonly string[], values: readonly string[]): string {
  return names.map((name, i) => `${name}="${escapeLabel(values[i] as string)}"`).join(',');
}

function escapeLabel(value: string): string {
  return value.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n');
}
