/** What Prometheus learns of the configuration. */
import type { Metrics } from '../telemetry/index.ts';
import type { Finding, Snapshot, TenantState } from './model.ts';
import type { Reload, ReloadResult } from './reload.ts';

const RESULTS: readonly ReloadResult[] = ['applied', 'unchanged', 'partial', 'rejected'];

export interface ConfigFacts {
  snapshot(): Snapshot;
  tenants(): ReadonlyMap<TenantState, number>;
  findings(): readonly Finding[];
  /** Objects in force on their last good version. */
  kept(): number;
  leftOut(): number;
  lastReload(): Reload | undefined;
  loaderRestarts(): number;
}

/** Registers the families; the returned function counts a reload. */
export function configMetrics(metrics: Metrics, facts: ConfigFacts): (reload: Reload) => void {
  const reloads = metrics.counters({
    name: 'reeve_config_reloads_total',
    help: 'Reloads of the tenancy by result.',
    labels: { result: RESULTS },
  });
  const apply = metrics.histogram({
    name: 'reeve_config_apply_seconds',
    help: 'From the first look at the directory to the swap.',
    buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5],
  });
  let lastSuccessMs = 0;
  metrics.gauge({
    name: 'reeve_config_generation',
    help: 'Generation of the tenancy that is live.',
    read: () => facts.snapshot().generation,
  });
  metrics.gauge({
    name: 'reeve_config_last_reload_successful',
    help: '1 when the last reload found no error.',
    read: () => Number(facts.findings().every((each) => each.severity !== 'error')),
  });
  metrics.gauge({
    name: 'reeve_config_last_reload_success_timestamp_seconds',
    help: 'When a reload last found no error, Unix time.',
    read: () => lastSuccessMs / 1e3,
  });
  metrics.collected({
    name: 'reeve_config_findings',
    help: 'Problems in the files as they are now.',
    type: 'gauge',
    labels: ['severity'],
    collect(emit) {
      for (const severity of ['error', 'warning'] as const)
        emit([severity], facts.findings().filter((each) => each.severity === severity).length);
    },
  });
  metrics.gauge({
    name: 'reeve_config_kept_objects',
    help: 'Objects in force on their last good version: no file says them as they are.',
    read: () => facts.kept(),
  });
  metrics.gauge({
    name: 'reeve_config_tenants_left_out',
    help: 'Tenants that stand in the files and are not in force, for an error of theirs or of their plan.',
    read: () => facts.leftOut(),
  });
  metrics.collected({
    name: 'reeve_config_loader_restarts_total',
    help: 'Times the thread that reads the tenancy died and was started again; a defect, or too little memory.',
    type: 'counter',
    labels: [],
    collect: (emit) => emit([], facts.loaderRestarts()),
  });
  metrics.collected({
    name: 'reeve_tenants',
    help: 'Tenants by state.',
    type: 'gauge',
    labels: ['state'],
    collect(emit) {
      for (const [state, count] of facts.tenants()) emit([state], count);
    },
  });
  return (reload) => {
    reloads.add(reloads.index(reload.result));
    if (reload.result === 'applied' || reload.result === 'unchanged') lastSuccessMs = reload.atWallMs;
    if (reload.changed > 0) apply.observe(reload.durationMs / 1e3);
  };
}
