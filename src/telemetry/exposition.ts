/** Families as text: Prometheus's text format, and OpenMetrics with exemplars. */

/** One observation of a bucket, to be looked up elsewhere: label values of at most 128 characters in all, names included. */
export interface Exemplar {
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
  readonly wallMs: number;
}

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

/** Lines written before the loop is yielded: 200 lines take under 1 ms. */
const SLICE_LINES = 200;
export const CONTENT_TYPES: Readonly<Record<Form, string>> = {
  text: 'text/plain; version=0.0.4; charset=utf-8',
  openmetrics: 'application/openmetrics-text; version=1.0.0; charset=utf-8',
};

export type Line = (suffix: string, labels: string, value: number, exemplar?: Exemplar) => void;

export interface Family extends MetricRow {
  readonly write: (line: Line) => void;
}

/** In OpenMetrics `_total` belongs to the sample, not to the family. */
const TOTAL = /_total$/;
const COUNTER_HEAD = /^(# (?:HELP|TYPE) \w+)_total /gm;

/** The text of a family in slices of bounded length. Rows are read in one go, so that a family is of one moment. */
export function* familyText({ name, help, type, write }: Family, form: Form): Generator<string> {
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

/** What prom-client writes as the text format, and the end of the whole: no blank lines, counters by their families. */
export function toOpenMetrics(text: string): string {
  return `${text.replaceAll(COUNTER_HEAD, '$1 ').replaceAll(/\n{2,}/g, '\n')}# EOF\n`;
}

function exemplarText({ labels, value, wallMs }: Exemplar): string {
  return ` # {${labelText(Object.keys(labels), Object.values(labels))}} ${value} ${wallMs / 1000}`;
}

/** A line a bucket, +Inf, sum and count. */
export function linesOf(buckets: readonly number[]): number {
  return buckets.length + 3;
}

export function writeHistogram(
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

export function labelText(names: readonly string[], values: readonly string[]): string {
  return names.map((name, i) => `${name}="${escapeLabel(values[i] as string)}"`).join(',');
}

function escapeLabel(value: string): string {
  return value.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n');
}
