// hot path
/**
 * The outermost stage: sees the end of every exchange and writes down what became of it: counters by plan, a bounded view by
 * tenant, the access log. Tenants are no label: 10,000 of them would be 10,000 series.
 */
import type { Clock } from '../core/index.ts';
import type { Exchange, Filter } from '../pipeline/index.ts';
import type { Metrics } from '../telemetry/index.ts';
import type { AccessLog } from './access-log.ts';
import { PlanCounts } from './plan-counts.ts';
import { rescues } from './rescue.ts';
import { TopTenants } from './top-tenants.ts';

export interface ObserverOptions {
  readonly access: AccessLog;
  readonly clock: Clock;
  readonly metrics: Metrics;
}

export function createObserver({ access, clock, metrics }: ObserverOptions): Filter<Exchange> {
  const plans = new PlanCounts(metrics);
  const tenants = new TopTenants(metrics, clock);
  const replies = metrics.counters({
    name: 'reeve_replies_total',
    help: 'Answers of our own, by code.',
    labels: { code: Object.keys(rescues) },
  });
  return {
    name: 'observe',
    onThrow: 'skip',
    onDone(x, outcome) {
      const durationMs = clock.now() - x.acceptedAt;
      // What the limits let pass is not refused, also when the upstream then cannot be reached.
      const decision = x.grant?.decision ?? (outcome.kind === 'replied' ? 'refused' : 'none');
      const wallMs = clock.wallMs();
      plans.add(x, decision, outcome, durationMs, wallMs);
      if (x.tenant !== undefined) tenants.add(x.tenant, decision === 'refused');
      if (outcome.kind === 'replied') replies.add(replies.index(outcome.reply.code));
      access.exchange(x, outcome, decision, durationMs, wallMs);
    },
  };
}
