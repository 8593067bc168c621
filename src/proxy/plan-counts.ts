// hot path
/** Requests by plan: counts, bytes, durations. One row a plan in typed arrays; at most PLANS_MAX plans have rows of their own. */
import type { Exchange, Outcome } from '../pipeline/index.ts';
import { type Exemplar, type Metrics, OTHER, PLANS_MAX } from '../telemetry/index.ts';
import { traceIdOfExchange } from './forwarded.ts';

const NOBODY = '-';
const DECISIONS = ['pass', 'notice', 'credit', 'shape', 'deprioritize', 'degrade', 'refused', 'none'] as const;
const CLASSES = ['1xx', '2xx', '3xx', '4xx', '5xx', 'aborted'] as const;
/** What is admitted may have any class; what is refused 2xx (gRPC), 4xx or 5xx; of neither is only what was aborted before. */
const CELLS_MAX = (DECISIONS.length - 2) * CLASSES.length + 3 + 1;
/** OpenTelemetry's bounds for HTTP, and three below for what a proxy does itself. */
const BUCKETS_SEC = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10];

/** An exemplar stays for so long, or until the wall clock steps: what one costs is then nothing, and a scrape sees new ones. */
const EXEMPLAR_MS = 1000;

interface Row {
  /** decision × class. */
  readonly requests: Float64Array;
  /** Not cumulative; the last is +Inf. */
  readonly buckets: Float64Array;
  /** A late request of each bucket. */
  readonly exemplars: (Exemplar | undefined)[];
  seconds: number;
  bytesIn: number;
  bytesOut: number;
}

export class PlanCounts {
  readonly #rows = new Map<string, Row>();

  constructor(metrics: Metrics) {
    this.#open(NOBODY);
    const each = (collect: (plan: string, row: Row) => void) => () =>
      this.#rows.forEach((row, plan) => collect(plan, row));
    metrics.collected({
      name: 'reeve_requests_total',
      help: 'Requests by plan, decision of the limits and class of the status.',
      type: 'counter',
      labels: ['plan', 'decision', 'code_class'],
      // The named plans, nobody's and the others.
      rowsMax: (PLANS_MAX + 2) * CELLS_MAX,
      collect: (emit) =>
        each((plan, { requests }) =>
          requests.forEach(
            (count, at) =>
              count > 0 &&
              emit(
                [plan, DECISIONS[Math.floor(at / CLASSES.length)] as string, CLASSES[at % CLASSES.length] as string],
                count,
              ),
          ),
        )(),
    });
    metrics.collected({
      name: 'reeve_request_bytes_total',
      help: 'Body bytes of requests.',
      type: 'counter',
      labels: ['plan'],
      collect: (emit) => each((plan, row) => emit([plan], row.bytesIn))(),
    });
    metrics.collected({
      name: 'reeve_response_bytes_total',
      help: 'Body bytes of responses.',
      type: 'counter',
      labels: ['plan'],
      collect: (emit) => each((plan, row) => emit([plan], row.bytesOut))(),
    });
    metrics.collectedHistogram({
      name: 'reeve_request_duration_seconds',
      help: 'From the request head to the last byte of the response.',
      labels: ['plan'],
      buckets: BUCKETS_SEC,
      collect: (emit) => each((plan, row) => emit([plan], row.buckets, row.seconds, row.exemplars))(),
    });
  }

  /** What was answered from before is degraded: which of both, the limits count. */
  add(
    x: Exchange,
    decided: (typeof DECISIONS)[number] | 'stale',
    outcome: Outcome,
    durationMs: number,
    wallMs: number,
  ): void {
    const decision = decided === 'stale' ? 'degrade' : decided;
    const { status } = outcome;
    const name = x.tenant?.plan.name ?? NOBODY;
    const row = this.#rows.get(name) ?? this.#open(name);
    const kind = status === undefined ? CLASSES.length - 1 : Math.min(Math.max(Math.floor(status / 100) - 1, 0), 4);
    (row.requests[DECISIONS.indexOf(decision) * CLASSES.length + kind] as number) += 1;
    const seconds = durationMs / 1000;
    let bucket = 0;
    while (bucket < BUCKETS_SEC.length && seconds > (BUCKETS_SEC[bucket] as number)) bucket++;
    (row.buckets[bucket] as number) += 1;
    row.seconds += seconds;
    // What went to no upstream has no trace that anybody could look up.
    if (
      outcome.kind !== 'replied' &&
      outcome.kind !== 'kept' &&
      Math.abs(wallMs - (row.exemplars[bucket]?.wallMs ?? 0)) > EXEMPLAR_MS
    )
      row.exemplars[bucket] = exemplarOf(x, seconds, wallMs);
    row.bytesIn += x.requestBytes;
    row.bytesOut += x.responseBytes;
  }

  #open(name: string): Row {
    // One of the rows is nobody's.
    const key = this.#rows.size <= PLANS_MAX ? name : OTHER;
    const known = this.#rows.get(key);
    if (known !== undefined) return known;
    const row: Row = {
      requests: new Float64Array(DECISIONS.length * CLASSES.length),
      buckets: new Float64Array(BUCKETS_SEC.length + 1),
      exemplars: new Array(BUCKETS_SEC.length + 1).fill(undefined),
      seconds: 0,
      bytesIn: 0,
      bytesOut: 0,
    };
    this.#rows.set(key, row);
    return row;
  }
}

/** Undefined for a request that was given up before it got a trace. */
function exemplarOf(x: Exchange, value: number, wallMs: number): Exemplar | undefined {
  const traceId = traceIdOfExchange(x);
  if (traceId === undefined) return undefined;
  const tenant = x.tenant?.id;
  return { labels: { trace_id: traceId, ...(tenant === undefined ? {} : { tenant }) }, value, wallMs };
}
