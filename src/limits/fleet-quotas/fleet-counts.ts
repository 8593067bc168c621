/** What operators see of quotas that are shared by a fleet. */
import type { Clock } from '../../core/index.ts';
import type { Log, Metrics } from '../../telemetry/index.ts';
import type { Checkpoint } from './checkpoint.ts';
import type { FleetQuotas } from './fleet-quotas.ts';

/** One line a minute says that there is no room; all rows are counted. */
const SAID_MS = 60_000;

export interface FleetWatch {
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Metrics;
}

export function registerFleetQuotas({ clock, log, metrics }: FleetWatch, fleet: FleetQuotas): void {
  const { escrow, claims } = fleet;
  const refused = metrics.counter({
    name: 'reeve_quota_right_rows_refused_total',
    help: 'Rows of rights for which there was no room.',
  });
  fleet.comeback.onLong = () =>
    log.warn('quota.rights_wait', {
      ...fleet.seen,
      effect: 'what the last life of this process had of hard quotas is not spent before most of the fleet is seen',
      remedy: 'start the others, or take those that are gone out of the seeds',
    });
  let saidAt = Number.NEGATIVE_INFINITY;
  claims.onFull = ({ kind, tenant, meter }) => {
    refused.add();
    const now = clock.now();
    if (now - saidAt < SAID_MS) return;
    saidAt = now;
    log.error('quota.rights_full', {
      ...(tenant === '' ? {} : { 'tenant.id': tenant, meter }),
      row: kind,
      rows: claims.size,
      effect: 'rights that others hand on are not known here, and what is not known is refused',
      remedy: 'use soft quotas, or fewer hard ones, or longer windows: docs/quotas.md says how many fit',
    });
  };
  metrics.gauge({
    name: 'reeve_quota_right_rows',
    help: `Rows of rights of hard quotas that are known here, of at most ${claims.max}; when they are full, new windows are refused.`,
    read: () => claims.size,
  });
  metrics.gauge({
    name: 'reeve_quota_unreachable',
    help: 'Hard quotas that were asked for here and refuse although they are not used up: what is left is held by sidecars that cannot be reached, or may have been spent by some that crashed.',
    read: () => fleet.unreachable,
  });
  metrics.collected({
    name: 'reeve_quota_rows_total',
    help: 'Rows of quotas that came from other sidecars, by what became of them; refused are whole deltas that were malformed.',
    type: 'counter',
    labels: ['result'],
    rowsMax: 3,
    collect: (emit) => Object.entries(fleet.counts).forEach(([result, count]) => emit([result], count)),
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

export function registerCheckpoint(metrics: Metrics, checkpoint: Checkpoint): void {
  const { counts } = checkpoint;
  metrics.gauge({
    name: 'reeve_quota_kept',
    help: '1 while the collector has what quotas count here, but for the last second; 0 when it does not.',
    read: () => (checkpoint.isKept ? 1 : 0),
  });
  metrics.collected({
    name: 'reeve_quota_kept_rows_total',
    help: 'Rows of quotas that the collector was handed and keeps, had no room for, and gave back at the start.',
    type: 'counter',
    labels: ['result'],
    rowsMax: 3,
    collect: (emit) => {
      for (const result of ['kept', 'refused', 'restored'] as const) emit([result], counts[result]);
    },
  });
  metrics.collected({
    name: 'reeve_quota_keep_failures_total',
    help: 'Times that the collector could not be handed what quotas count.',
    type: 'counter',
    labels: [],
    collect: (emit) => emit([], counts.failures),
  });
}
