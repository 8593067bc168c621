/** What is kept on disk, and what is told of the tenancy to Prometheus. */
import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { systemClock, systemTimers } from '../../src/core/index.ts';
import { createMetrics, silentLog } from '../../src/telemetry/index.ts';
import type { LoadedFile } from '../../src/tenants/desired.ts';
import { openTenancy } from '../../src/tenants/index.ts';
import { readLastGood, writeLastGood } from '../../src/tenants/last-good.ts';
import type { Pace } from '../../src/tenants/pace.ts';
import { parseOne } from '../../src/tenants/parse.ts';
import type { Ending } from '../helpers/sidecar.ts';
import { makeTenancy, plan, tenant } from '../helpers/tenancy.ts';

/** Yields at every item: work that is cut anywhere must come out the same. */
const alwaysYields: Pace = Object.assign(() => systemTimers.yieldLoop(), { turn: () => systemTimers.yieldLoop() });

const neverYields: Pace = Object.assign(() => undefined, { turn: async () => {} });

function folder(t: Ending): string {
  const dir = mkdtempSync(join(tmpdir(), 'reeve-parts-'));
  t.teardown(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
}

t.test('the last good copy: sliced, whole, and of this format only', async (t) => {
  const dir = folder(t);
  const files: LoadedFile[] = [
    { path: 'keys.json', text: '{"keys":[]}', documents: [] },
    {
      path: 'p.yaml',
      text: '',
      documents: Array.from({ length: 250 }, (_, i) => ({
        text: plan(`p${i}`),
        offset: 0,
        parsed: parseOne(plan(`p${i}`).replace('---\n', ''), ['Plan']),
      })),
    },
  ];
  const live = new Map(
    files[1]?.documents.map(({ parsed }) => [
      `Plan/${parsed.name}`,
      { json: parsed.isGood ? parsed.json : '', file: 'p.yaml' },
    ]),
  );
  live.set('Tenant/gone', { json: '{}', file: 'old.yaml' });
  t.equal(await readLastGood(dir, alwaysYields), undefined, 'none yet');
  for (const pace of [alwaysYields, neverYields]) {
    await writeLastGood(dir, files, live, pace);
    const read = await readLastGood(dir, pace);
    if (read === undefined || 'untrusted' in read) throw new Error('expected a last good copy');
    t.same([read.remembered.size, read.objects.length, read.keyFiles.length], [250, 251, 1]);
  }
  await writeLastGood(dir, [], new Map(), neverYields);
  t.match(await readLastGood(dir, neverYields), { objects: [], keyFiles: [] });
  const other = '{"format":0}\n';
  const sealed = `${other}{"sha256":"${createHash('sha256').update(other).digest('hex')}"}\n`;
  writeFileSync(join(dir, 'last-good.jsonl'), sealed);
  t.match(await readLastGood(dir, neverYields), { untrusted: 'it was written by another version' });
  rmSync(join(dir, 'last-good.jsonl'));
  mkdirSync(join(dir, 'last-good.jsonl'));
  t.match(await readLastGood(dir, neverYields), { untrusted: /cannot be read/ });
});

t.test('metrics say generation, results, findings and tenants by state', async (t) => {
  const dir = makeTenancy({ 'tenants.yaml': tenant('acme') + tenant('globex', { state: 'suspended' }) });
  const metrics = createMetrics({ timers: systemTimers });
  const tenancy = await openTenancy({
    dir: dir.dir,
    stateDir: undefined,
    allowShrink: false,
    removeGraceMs: 50,
    clock: systemClock,
    timers: systemTimers,
    log: silentLog,
    metrics,
  });
  t.teardown(async () => {
    await tenancy.close();
    dir.cleanUp();
  });
  const scrape = async (): Promise<string> => {
    let text = '';
    for await (const chunk of metrics.exposition()) text += chunk;
    return text;
  };
  const good = await scrape();
  for (const line of [
    /^reeve_config_generation 1$/m,
    /^reeve_config_last_reload_successful 1$/m,
    /^reeve_config_last_reload_success_timestamp_seconds 1\.?\d+/m,
    /^reeve_config_reloads_total\{result="applied"\} 1$/m,
    /^reeve_config_apply_seconds_count 1$/m,
    /^reeve_tenants\{state="active"\} 1$/m,
    /^reeve_tenants\{state="suspended"\} 1$/m,
    /^reeve_config_findings\{severity="error"\} 0$/m,
  ])
    t.match(good, line);
  dir.write('plans.yaml', plan('free', { quotas: { q: {} } }) + plan('bad', { concurrency: 0 }));
  await tenancy.refresh();
  const broken = await scrape();
  t.match(broken, /^reeve_config_last_reload_successful 0$/m);
  t.match(broken, /^reeve_config_findings\{severity="error"\} 1$/m);
  t.match(broken, /^reeve_config_findings\{severity="warning"\} 1$/m);
  t.match(broken, /^reeve_config_reloads_total\{result="partial"\} 1$/m);
  t.match(await scrape(), /^reeve_tenants\{state="active"\} 1$/m, 'counted once a generation');
});
