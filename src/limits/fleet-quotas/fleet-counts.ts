/** What operators see of quotas that are shared by a fleet. */
import type { Metrics } from '../../telemetry/index.ts';
import type { FleetQuotas } from './fleet-quotas.ts';

export function registerFleetQuotas(metrics: Metrics, fleet: FleetQuotas): void {
  const { counts, escrow } = fleet;
  metrics.collected({
    name: 'reeve_quota_rows_total',
    help: 'Rows of quotas that came from other sidecars, by what became of them; refused are whole deltas that were malformed.',
    type: 'counter',
    labels: ['result'],
    rowsMax: 3,
    collect: (emit) => Object.entries(counts).forEach(([result, count]) => emit([result], count)),
  });
  metrics.collected({
    name: 'reeve_quota_rows',
    help: 'Rows of quotas that this sidecar tells the others, that wait to be told, and that it holds of theirs.',
    type: 'gauge',
    labels: ['whose'],
    rowsMax: 3,
    collect: (emit) => Object.entries(fleet.size).forEach(([whose, count]) => emit([whose], count)),
  });
  metrics.collected({
    name: 'reeve_quota_rights_total',
    help: 'Rights to spend of hard quotas: how often this sidecar wanted some, gave some to others, and got some.',
    type: 'counter',
    labels: ['what'],
    rowsMax: 3,
    collect: (emit) => Object.entries(escrow.counts).forEach(([what, count]) => emit([what], count)),
  });
}
