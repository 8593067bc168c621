/** A sidecar's metering and the collector itself, over real gRPC and files: what was used is counted once, whichever of the two stops. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { type RunningCollector, startCollector } from '../../src/cli/collector.ts';
import { collectorValues } from '../../src/cli/collector-settings.ts';
import { silentLog } from '../../src/telemetry/index.ts';
import { freePort } from '../helpers/backends.ts';
import { becomes } from '../helpers/processes.ts';
import { metered, tempDir } from '../metering/metered.ts';

t.test('records of a sidecar are in the answers once, behind restarts of the collector', async (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'reeve-usage-'));
  t.teardown(() => rmSync(dir, { recursive: true }));
  const start = async (grpcPort: string): Promise<RunningCollector> => {
    const options = { dir, grpcPort, httpPort: '0', statusPort: '0' };
    return startCollector(await collectorValues(undefined, options, {}), { log: silentLog });
  };
  // Not one the system gives out: while the collector is down, another's connection may be given it.
  const port = await freePort();
  let running = await start(String(port));
  t.teardown(() => running.close());
  const used = async (): Promise<Record<string, number>> => {
    const answer = await fetch(`http://127.0.0.1:${running.ports.http}/v1/usage?by=tenant&meter=requests`);
    const { rows } = (await answer.json()) as { rows: { tenant: string; value: number }[] };
    return Object.fromEntries(rows.map(({ tenant, value }) => [tenant, value]));
  };
  const isUsed = (tenant: string, count: number): Promise<boolean> =>
    becomes(async () => (await used())[tenant] === count);
  const address = `127.0.0.1:${port}`;
  const sidecar = await metered(t, { dir: tempDir(t), collector: { address, tls: undefined, tokenFile: undefined } });
  sidecar.end('acme', 30);
  sidecar.end('globex', 7);
  t.ok(await isUsed('acme', 30));
  t.ok(await isUsed('globex', 7));
  await running.close();
  sidecar.end('acme', 12);
  running = await start(String(port));
  t.ok(await isUsed('acme', 42));
  t.same(await used(), { acme: 42, globex: 7 });
  t.match([...running.collector.spools], [{ service: 'orders', records: 49, lost: 0, state: 'live' }]);
});
