/** Limits under a clock of the test, with plans and tenants from real documents. */

import { systemRandom } from '../../src/core/index.ts';
import { createLimits, type Limits, type LimitsOptions } from '../../src/limits/index.ts';
import type { Admitted, Exchange, Identified, Outcome, Reply } from '../../src/pipeline/index.ts';
import { createMetrics, type Metrics, silentLog } from '../../src/telemetry/index.ts';
import { inspectTenancy, routeOf, type Snapshot, type Tenant } from '../../src/tenants/index.ts';
import { HeaderList } from '../../src/wire/index.ts';
import { ManualClock } from '../helpers/manual-clock.ts';
import { document, makeTenancy, plan, tenant } from '../helpers/tenancy.ts';
import { exchangeForTest } from '../pipeline/exchange-for-test.ts';

export interface Asked {
  readonly x: Identified;
  readonly verdict: Reply | undefined | Promise<Reply | undefined>;
  done(bytes?: number): void;
  headers(): HeaderList;
}

export interface World {
  readonly clock: ManualClock;
  readonly limits: Limits;
  readonly metrics: Metrics;
  snapshot: Snapshot;
  ask(name: string, o?: { method?: string; path?: string }): Asked;
  tenant(name: string): Tenant;
  /** Asks and ends at once; the decision, or the code of the refusal. */
  one(name: string, path?: string): string;
  load(plans: string, tenants: string, routes?: string): Promise<void>;
  /** The `RateLimit` field that an answer on the path would carry now; asks for nothing. */
  told(name: string, path: string): string | undefined;
}

export async function snapshotOf(plans: string, tenants: string, routes = ''): Promise<Snapshot> {
  const dir = makeTenancy({ 'plans.yaml': plans, 'tenants.yaml': tenants, 'routes.yaml': routes });
  const { snapshot, findings } = await inspectTenancy(dir.dir);
  dir.cleanUp();
  if (findings.some((each) => each.severity === 'error')) throw new Error(JSON.stringify(findings));
  return snapshot;
}

export const route = (name: string, spec: object): string => document('Route', name, spec);
export { plan, tenant };

export async function world(
  plans: string,
  tenants = tenant('acme') + tenant('globex'),
  routes = '',
  more: Partial<LimitsOptions> = {},
): Promise<World> {
  const clock = new ManualClock();
  const metrics = createMetrics({ timers: clock });
  const limits = createLimits({ clock, timers: clock, random: systemRandom, log: silentLog, metrics, ...more });
  const forwarded: Outcome = { kind: 'forwarded', status: 200 };
  const self: World = {
    clock,
    limits,
    metrics,
    snapshot: await snapshotOf(plans, tenants, routes),
    tenant: (name) => self.snapshot.tenants.get(name) as Tenant,
    ask(name, { method = 'GET', path = '/' } = {}) {
      const x: Exchange = exchangeForTest({
        snapshot: self.snapshot,
        method,
        path,
        route: routeOf(self.snapshot, method, path),
      });
      x.tenant = self.tenant(name);
      const verdict = limits.filter.onRequest?.(x as Identified) as Asked['verdict'];
      return {
        x: x as Identified,
        verdict,
        done(bytes = 0) {
          x.responseBytes = bytes;
          limits.filter.onDone?.(x as Admitted, forwarded);
        },
        headers() {
          const headers = new HeaderList([]);
          limits.filter.onResponse?.(x as Admitted, { status: 200, headers });
          return headers;
        },
      };
    },
    one(name, path = '/') {
      const { x, verdict, done } = self.ask(name, { path });
      done();
      return verdict === undefined || verdict instanceof Promise ? (x.grant?.decision ?? 'none') : verdict.code;
    },
    told(name, path) {
      const x = exchangeForTest({ snapshot: self.snapshot, path, route: routeOf(self.snapshot, 'GET', path) });
      x.tenant = self.tenant(name);
      const headers = new HeaderList([]);
      limits.filter.onResponse?.(x as Admitted, { status: 200, headers });
      return headers.first('ratelimit');
    },
    async load(nextPlans, nextTenants, nextRoutes = '') {
      const previous = self.snapshot;
      self.snapshot = await snapshotOf(nextPlans, nextTenants, nextRoutes);
      limits.use(self.snapshot, previous);
    },
  };
  return self;
}
