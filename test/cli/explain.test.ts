/** `reeve config explain`: there is no setting that the documentation names and the command does not explain. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { collectorSettings } from '../../src/cli/collector-settings.ts';
import { sidecarSettings } from '../../src/tenants/index.ts';
import { reeve } from '../helpers/command.ts';
import { root } from '../helpers/sidecar.ts';

const explain = (key: string): ReturnType<typeof reeve> => reeve(['config', 'explain', key]);
const page = (name: string): string => readFileSync(join(root, 'docs', name), 'utf8');
/** A line of its own behind the key, before the value: what it means. */
const MEANING = /^[^\n]+\n {2}\S[^\n]+\n {2}value {4}\S/;

t.test('every key of docs/config.md is explained', async (t) => {
  let keys = 0;
  for (const section of page('config.md').split(/^## /m).slice(1)) {
    const kind = section.slice(0, section.indexOf('\n'));
    for (const [, key] of section.matchAll(/^\| `(spec\.[^`]+)` \|/gm)) {
      keys++;
      t.match(await explain(`${kind}.${key}`), { status: 0, stdout: MEANING }, `${kind}.${key}`);
    }
  }
  t.ok(keys > 130, `${keys} keys`);
});

t.test('every setting of a sidecar and of a collector is, with its default, its flag and its variable', async (t) => {
  for (const { path, flag, env, default: preset } of sidecarSettings) {
    const { stdout } = await explain(`Sidecar.spec.${path}`);
    t.ok(MEANING.test(stdout) && stdout.includes(`  also     ${flag}, ${env}\n`), path);
    if (preset !== undefined) t.ok(stdout.includes(`  default  ${JSON.stringify(preset)}\n`), `default of ${path}`);
  }
  for (const { path, flag, env, preset } of collectorSettings) {
    const { stdout } = await explain(`Collector.${path}`);
    t.ok(MEANING.test(stdout) && stdout.includes(`  also     ${flag}, ${env}\n`), path);
    if (preset !== undefined) t.match(stdout, new RegExp(`  default  "?${preset.replaceAll('.', '\\.')}"?\\n`));
  }
});

t.test('whatever stands above them is explained too, and what has a name of its own', async (t) => {
  for (const [key, words] of [
    ['Collector', /The settings of `reeve collector`[\s\S]*\.grpc +host, port\n/],
    ['collector.seal', /\.grace +after an hour[\s\S]*\.patience/],
    ['Plan.spec.quotas', /\.NAME +How much of one meter/],
    ['Plan.spec.quotas.api_calls.limit', /Units in one window/],
    ['Tenant.spec.identity.apiKeys.0.id', /The middle part/],
    ['Tenant.metadata.labels.region', /value {4}string/],
    ['Sidecar.spec.upstreams.lite', /An upstream/],
    ['Plan.apiVersion', /words {4}reeve\.dev\/v1/],
    ['seal.grace', /--seal-grace, REEVE_COLLECTOR_SEAL_GRACE/],
    // What both have is the document's, as before there was anything to explain of a collector.
    ['status.port', /--status-port, REEVE_STATUS_PORT/],
  ] as const)
    t.match(await explain(key), { status: 0, stdout: words }, key);
  const json = JSON.parse((await reeve(['config', 'explain', 'Collector.grpc.port', '-o', 'json'])).stdout) as object;
  t.match(json, { default: 15010, flag: '--grpc-port', env: 'REEVE_COLLECTOR_GRPC_PORT' });
});

t.test('spec may be left out behind a kind', async (t) => {
  for (const [key, full] of [
    ['Plan.degrade', 'Plan.spec.degrade'],
    ['Sidecar.drain.delay', 'Sidecar.spec.drain.delay'],
    ['Plan.quotas.api_calls.limit', 'Plan.spec.quotas.api_calls.limit'],
    ['Tenant.identity.apiKeys[].id', 'Tenant.spec.identity.apiKeys[].id'],
  ] as const) {
    const [short, long] = [await explain(key), await explain(full)];
    t.equal(short.status, 0, key);
    t.equal(short.stdout, long.stdout, 'and it is told with it');
  }
  t.match(await explain('Plan.metadata.name'), { status: 0 });
  t.match(await explain('Plan.degrad'), {
    status: 2,
    stderr: /Plan\.spec has no key "degrad" \(did you mean degrade\?\)/,
  });
  t.match(await explain('Plan.spce.weight'), { status: 2, stderr: /Plan has no key "spce" \(did you mean spec\?\)/ });
});

t.test('the first step that is wrong is named, also without a kind', async (t) => {
  for (const [key, words] of [
    ['metering.dri', /^reeve: Sidecar\.spec\.metering has no key "dri" \(did you mean dir\?\)\n$/],
    ['meterin.dir', /there is no kind "meterin" \(did you mean metering\?\)/],
    ['seal.grade', /^reeve: Collector\.seal has no key "grade" \(did you mean grace\?\)\n$/],
    ['zzzzzzzz', /known: Sidecar, .*Collector, tenancy/],
    ['Plan.spec.quotas.api_calls.limt', /Plan\.spec\.quotas\.api_calls has no key "limt" \(did you mean limit\?\)/],
    ['spec.x', /no kind has "spec\.x"/],
  ] as const)
    t.match(await explain(key), { status: 2, stderr: words }, key);
  t.match(await reeve(['config', 'schema', 'Collector']), { status: 2, stderr: /there is no kind "Collector"/ });
});
