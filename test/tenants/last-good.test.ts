/** What is kept on disk, and what is told of the tenancy to Prometheus. */
import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { systemTimers } from '../../src/core/index.ts';
import { createMetrics } from '../../src/telemetry/index.ts';
import { readLastGood, writeLastGood } from '../../src/tenants/catalogue/last-good.ts';
import { type LiveObject, liveObject, NO_DOCUMENT } from '../../src/tenants/catalogue/live-object.ts';
import type { LoadedFile } from '../../src/tenants/documents/load.ts';
import { parseOne } from '../../src/tenants/documents/parse.ts';
import { tenancyForTest } from '../helpers/open-tenancy.ts';
import type { Ending } from '../helpers/sidecar.ts';
import { makeTenancy, plan, tenant } from '../helpers/tenancy.ts';

function folder(t: Ending): string {
  const dir = mkdtempSync(join(tmpdir(), 'reeve-parts-'));
  t.teardown(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
}

t.test('the last good copy: whole, and of this schema only', async (t) => {
  const dir = folder(t);
  const documents = Array.from({ length: 1250 }, (_, i) => {
    const text = plan(`p${i}`, i === 0 ? { degrade: ['reject', 'credit'] } : {}).replace('---\n', '');
    return { text, offset: 0, parsed: parseOne(text) };
  });
  const files: LoadedFile[] = [
    { path: 'keys.json', text: '{"keys":[]}', documents: [], isCut: false },
    { path: 'p.yaml', text: '', documents, isCut: false },
  ];
  const record = (kind: 'Plan' | 'Tenant', name: string, json: string): LiveObject =>
    liveObject({ kind, name, json, file: 'p.yaml', keys: undefined });
  const live = new Map(
    documents.map(({ parsed }) => [
      `Plan/${parsed.name}`,
      record('Plan', parsed.name ?? '', parsed.isGood ? parsed.json : ''),
    ]),
  );
  live.set('Tenant/gone', record('Tenant', 'gone', '{"spec":{"plan":"p1"}}'));
  live.set('Plan/unknown', record('Plan', 'unknown', NO_DOCUMENT));
  live.set('Plan/p1', record('Plan', 'p1', '{"older":true}'));
  t.equal(await readLastGood(dir), undefined, 'none yet');
  await writeLastGood(dir, files, live);
  const read = await readLastGood(dir);
  if (read === undefined || 'untrusted' in read) throw new Error('expected a last good copy');
  t.same([read.remembered.size, read.objects.length], [1249, 1251], 'what is in force by another text has no hash');
  t.match([...read.remembered.values()][0], { warnings: [{ message: 'is never reached: it stands behind reject' }] });
  await writeLastGood(dir, [], new Map());
  t.match(await readLastGood(dir), { objects: [] });
  const other = '{"format":3,"schema":"another"}\n';
  const sealed = `${other}{"sha256":"${createHash('sha256').update(other).digest('hex')}"}\n`;
  writeFileSync(join(dir, 'last-good.jsonl'), sealed);
  t.match(await readLastGood(dir), { untrusted: 'it was written by another version' });
  rmSync(join(dir, 'last-good.jsonl'));
  mkdirSync(join(dir, 'last-good.jsonl'));
  t.match(await readLastGood(dir), { untrusted: /cannot be read/ });
});

t.test('metrics say generation, results, findings and tenants by state', async (t) => {
  const dir = makeTenancy({ 'tenants.yaml': tenant('acme') + tenant('globex', { state: 'suspended' }) });
  const metrics = createMetrics({ timers: systemTimers });
  const tenancy = await tenancyForTest(t, dir, { metrics });
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
  dir.write('plans.yaml', plan('free', { degrade: ['reject', 'credit'] }) + plan('bad', { concurrency: 0 }));
  await tenancy.refresh();
  const broken = await scrape();
  t.match(broken, /^reeve_config_last_reload_successful 0$/m);
  t.match(broken, /^reeve_config_findings\{severity="error"\} 1$/m);
  t.match(broken, /^reeve_config_findings\{severity="warning"\} 1$/m);
  t.match(broken, /^reeve_config_reloads_total\{result="partial"\} 1$/m);
  t.match(await scrape(), /^reeve_tenants\{state="active"\} 1$/m, 'counted once a generation');
});
