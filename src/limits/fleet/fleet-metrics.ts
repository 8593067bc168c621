/** What of the rates of a fleet can be scraped. By tenant it is told by `reeve limits check`. */
import type { Metrics } from '../../telemetry/index.ts';
import type { FleetRates } from './fleet-rates.ts';
import { ROWS_MAX } from './row-table.ts';

export function registerFleetRates(metrics: Metrics, rates: FleetRates): void {
  metrics.gauge({
    name: 'reeve_fleet_members',
    help: 'Sidecars whose requests count, this one included; behind a cut that is held they count as well.',
    read: () => rates.members,
  });
  metrics.gauge({
    name: 'reeve_fleet_part',
    help: 'Part of each limit that those that count may take together: 1, or less while others are missing.',
    read: () => rates.part,
  });
  metrics.gauge({
    name: 'reeve_fleet_limits',
    help: `Limits that are shared here, of at most ${ROWS_MAX}; beyond, each sidecar takes an equal part.`,
    read: () => rates.size,
  });
  metrics.collected({
    name: 'reeve_fleet_rows_total',
    help: 'Rows of limits that were heard from other sidecars.',
    type: 'counter',
    labels: [],
    collect: (emit) => emit([], rates.rowsHeard),
  });
  metrics.gauge({
    name: 'reeve_fleet_row_age_seconds',
    help: 'Of limits asked for here and elsewhere, since the one heard of least lately was heard of; 0 without any, 10 or less when all is well.',
    read: () => rates.rowAgeMs / 1000,
  });
}
