/** Decisions by plan, in typed arrays, read at scrape. */
import { type Metrics, OTHER, PLANS_MAX } from '../telemetry/index.ts';
import type { Plan } from '../tenants/index.ts';

export const DECISIONS = [
  'pass',
  'notice',
  'credit',
  'shape',
  'deprioritize',
  'degrade',
  'stale',
  'refused_requests',
  'refused_route',
  'refused_egress',
  'refused_concurrency',
  'refused_quota',
  'shadow_refused',
] as const;
export type CountedDecision = (typeof DECISIONS)[number];

export class DecisionCounts {
  /** By plan name; a plan that is gone keeps its counts, so that sums never fall. */
  readonly #rows = new Map<string, Float64Array>();

  constructor(metrics: Metrics) {
    metrics.collected({
      name: 'reeve_limit_decisions_total',
      help: 'Decisions of the limits by plan.',
      type: 'counter',
      labels: ['plan', 'decision'],
      collect: (emit) => {
        for (const [plan, row] of this.#rows) {
          for (const [at, decision] of DECISIONS.entries())
            if ((row[at] as number) > 0) emit([plan, decision], row[at] as number);
        }
      },
    });
  }

  add(plan: Plan, decision: CountedDecision): void {
    const row = this.#rows.get(plan.name) ?? this.#open(plan.name);
    (row[DECISIONS.indexOf(decision)] as number) += 1;
  }

  #open(name: string): Float64Array {
    const key = this.#rows.size < PLANS_MAX ? name : OTHER;
    const row = this.#rows.get(key) ?? new Float64Array(DECISIONS.length);
    this.#rows.set(key, row);
    return row;
  }
}
