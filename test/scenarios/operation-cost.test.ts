/** An operator asks what an operation at the edge costs: requests of two services, of which the second is only asked by the first. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { startCollector } from '../../src/cli/collector.ts';
import { collectorValues } from '../../src/cli/collector-settings.ts';
import { startSidecar } from '../../src/cli/sidecar.ts';
import { silentLog } from '../../src/telemetry/index.ts';
import { becomes } from '../helpers/processes.ts';
import { configFor, httpBackend, settings } from '../helpers/sidecar.ts';
import { makeTenancy, type TenancyDir } from '../helpers/tenancy.ts';
import { tokenFor } from '../helpers/tokens.ts';

const ROUTES = ['checkout', 'list'].map(
  (name) => `apiVersion: reeve.dev/v1
kind: Route
metadata: { name: ${name} }
spec: { match: { path: /${name} } }
`,
);

async function sidecar(
  t: Test,
  name: string,
  upstream: string,
  { tenancy, ...more }: { tenancy: TenancyDir; class: 'edge' | 'mesh'; collector: number },
): Promise<string> {
  const config = configFor(
    settings(upstream, tenancy, {
      'inbound.class': more.class,
      'metering.dir': join(tenancy.stateDir, `spool-${name}`),
      'metering.collector.address': `127.0.0.1:${more.collector}`,
    }),
  );
  const running = await startSidecar({ ...config, name }, { log: silentLog });
  t.teardown(() => running.close());
  return `http://127.0.0.1:${running.ports.inbound}`;
}

t.test('usage by operation: what began at the edge, summed up over all services behind it', async (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'reeve-cost-'));
  const ports = { grpcPort: '0', httpPort: '0', statusPort: '0' };
  const running = await startCollector(await collectorValues(undefined, { dir, ...ports }, {}), { log: silentLog });
  const tenancy = makeTenancy();
  t.teardown(async () => {
    await running.close();
    tenancy.cleanUp();
    rmSync(dir, { recursive: true });
  });
  tenancy.write('routes.yaml', ROUTES.join('---\n'));
  const mesh = { tenancy, collector: running.ports.grpc };
  const bank = await httpBackend(t, (_req, res) => res.end('paid'));
  const payments = await sidecar(t, 'payments', bank, { ...mesh, class: 'mesh' });
  // An application as they are: it relays its caller's credential and trace.
  const shop = await httpBackend(t, async ({ url, headers }, res) => {
    const { authorization = '', traceparent = '', tracestate = '' } = headers;
    for (let asked = 0; asked < (url === '/checkout' ? 2 : 1); asked++)
      await fetch(payments, {
        headers: { authorization, traceparent: String(traceparent), tracestate: String(tracestate) },
      });
    res.end('ok');
  });
  const edge = await sidecar(t, 'shop', shop, { ...mesh, class: 'edge' });
  const headers = { authorization: `Bearer ${tokenFor('org_acme')}`, tracestate: 'reeve=5;evil/operation' };
  for (const path of ['checkout', 'checkout', 'checkout', 'list', 'list', 'other'])
    t.equal((await fetch(`${edge}/${path}`, { headers })).status, 200);
  const costs = async (): Promise<string[]> => {
    const query = 'tenant=acme&meter=requests&by=operation,service';
    const answer = await fetch(`http://127.0.0.1:${running.ports.http}/v1/usage?${query}`);
    const { rows } = (await answer.json()) as { rows: { operation: string; service: string; value: number }[] };
    return rows.map(({ operation, service, value }) => `${operation} ${service} ${value}`);
  };
  const expected = [
    ...['shop/ payments 1', 'shop/ shop 1', 'shop/checkout payments 6', 'shop/checkout shop 3'],
    ...['shop/list payments 2', 'shop/list shop 2'],
  ];
  await becomes(async () => JSON.stringify(await costs()) === JSON.stringify(expected));
  t.same(await costs(), expected);
});
