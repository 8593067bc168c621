// hot path
/**
 * The outermost stage: sees the end of every exchange and writes down what became of it: counters by plan, a bounded view by
 * tenant, the access log. Tenants are no label: 10,000 of them would be 10,000 series.
 */
import type { Clock, Random } from '../core/index.ts';
import type { Exchange, Filter, Outcome } from '../pipeline/index.ts';
import { type Log, type Metrics, parseTraceparent } from '../telemetry/index.ts';
import type { SidecarConfig } from '../tenants/index.ts';
import { PlanCounts } from './plan-counts.ts';
import { rescues } from './rescue.ts';
import { TopTenants } from './top-tenants.ts';

export interface ObserverOptions {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly access: SidecarConfig['log'];
}

export function createObserver({ clock, random, log, metrics, access }: ObserverOptions): Filter<Exchange> {
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
      const decision = outcome.kind === 'replied' ? 'refused' : (x.grant?.decision ?? 'none');
      plans.add(x, decision, outcome.status, durationMs);
      if (x.tenant !== undefined) tenants.add(x.tenant.id, decision === 'refused');
      if (outcome.kind === 'replied') replies.add(replies.index(outcome.reply.code));
      if (isLogged(access, outcome, random)) log.info('http.request', fieldsOf(x, outcome, decision, durationMs));
    },
  };
}

function isLogged({ access, sample }: SidecarConfig['log'], outcome: Outcome, random: Random): boolean {
  if (access === 'off') return false;
  const isError =
    outcome.kind === 'aborted' || (outcome.status ?? 0) >= 500 || (outcome.kind === 'replied' && outcome.status >= 400);
  return isError || access === 'all' || (access === 'sampled' && random.float() < sample);
}

/** OpenTelemetry's names. No query: it may hold secrets. */
function fieldsOf(x: Exchange, outcome: Outcome, decision: string, durationMs: number): Record<string, unknown> {
  return {
    'http.request.method': x.method,
    'url.path': x.path,
    'http.response.status_code': outcome.status,
    'server.address': x.host,
    'client.address': x.peer,
    'tenant.id': x.tenant?.id,
    'tenant.plan': x.tenant?.plan.name,
    'reeve.decision': decision,
    'reeve.outcome': outcome.kind,
    'reeve.code': outcome.kind === 'replied' ? outcome.reply.code : undefined,
    'reeve.aborted_by': outcome.kind === 'aborted' ? outcome.side : undefined,
    request_id: x.id,
    trace_id: parseTraceparent(x.headers.first('traceparent') ?? '')?.traceId,
    bytes_in: x.requestBytes,
    bytes_out: x.responseBytes,
    duration_ms: Math.round(durationMs * 100) / 100,
  };
}
