/** Metering opened for a test, and looked at. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock, systemRandom, systemTimers, type Timers } from '../../src/core/index.ts';
import { type Metering, type MeteringOptions, openMetering } from '../../src/metering/index.ts';
import type { Identified } from '../../src/pipeline/index.ts';
import { createLog, createMetrics, type Metrics } from '../../src/telemetry/index.ts';
import type { MeteringConfig, Tenant } from '../../src/tenants/index.ts';
import { becomes } from '../helpers/processes.ts';
import type { Ending } from '../helpers/sidecar.ts';
import { exchangeForTest } from '../pipeline/exchange-for-test.ts';
import type { GrpcCollector } from './grpc-collector.ts';

export interface Metered {
  readonly metering: Metering;
  readonly metrics: Metrics;
  /** Events of the log. */
  readonly said: Record<string, unknown>[];
  /** Requests that end now. */
  end(tenant: string, requests?: number): void;
  text(): Promise<string>;
}

/** Whether it is that within 5 s. */
export const reaches = <T>(read: () => T, value: T): Promise<boolean> => becomes(() => read() === value);

/** What is looked at each second is looked at each tenth, so that a test does not wait. */
const timers: Timers = {
  ...systemTimers,
  every: (periodMs, run) => systemTimers.every(periodMs === 1000 ? 100 : periodMs, run),
};

export function tempDir(t: Ending): string {
  const dir = mkdtempSync(join(tmpdir(), 'reeve-spool-'));
  t.teardown(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
}

export async function metered(
  t: Ending,
  config: Partial<MeteringConfig>,
  more: Partial<MeteringOptions> = {},
): Promise<Metered> {
  const said: Record<string, unknown>[] = [];
  const log = createLog({ clock: systemClock, level: 'info', write: (line) => said.push(JSON.parse(line)) });
  const metrics = createMetrics({ timers: systemTimers });
  const metering = await openMetering({
    ...{
      clock: systemClock,
      timers,
      random: systemRandom,
      log,
      metrics,
      service: 'orders',
      instance: 'pod 1',
    },
    config: {
      ...{
        dir: '',
        collector: undefined,
        durability: 'interval',
        granularity: 'raw',
        maxBytes: 2 ** 30,
        onFull: 'failOpen',
      },
      streamEveryMs: 60_000,
      traceIds: false,
      ...config,
    },
    ...more,
  });
  t.teardown(() => metering.close());
  return {
    metering,
    metrics,
    said,
    end(tenant, requests = 1) {
      for (let i = 0; i < requests; i++) {
        const x = exchangeForTest({ acceptedAt: systemClock.now() });
        x.tenant = { id: tenant } as Tenant;
        metering.filter.onDone?.(x as Identified, { kind: 'forwarded', status: 200 });
      }
    },
    async text() {
      let text = '';
      for await (const chunk of metrics.exposition()) text += chunk;
      return text;
    },
  };
}

export const collectorOf = ({ address }: { readonly address: string }): Partial<MeteringConfig> => ({
  collector: { address, tls: undefined, tokenFile: undefined },
});

export const isTold = (collector: GrpcCollector, records: number) => reaches(() => collector.records().length, records);
