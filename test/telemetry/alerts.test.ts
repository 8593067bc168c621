/** config/prometheus/alerts.yaml: sound, of metrics that are there, each alert at its bad state and none at a good one. */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { parseYaml } from '../../src/cli/yaml.ts';
import { rescues } from '../../src/proxy/index.ts';
import { allOn, httpBackend, root, sidecarForTest } from '../helpers/sidecar.ts';
import { makeTenancy } from '../helpers/tenancy.ts';

interface Rule {
  readonly alert: string;
  readonly expr: string;
  readonly labels: { readonly severity: string };
  readonly annotations: Readonly<Record<string, string>>;
}

const FILE = join(root, 'config/prometheus/alerts.yaml');
const PROMTOOL = '/usr/bin/promtool';
const { groups } = parseYaml(readFileSync(FILE, 'utf8')) as { groups: { rules: Rule[] }[] };
const rules = groups.flatMap((group) => group.rules);

t.test('each metric it names is documented', async (t) => {
  const page = readFileSync(join(root, 'docs/metrics.md'), 'utf8');
  for (const { alert, expr } of rules)
    for (const [name] of expr.matchAll(/\breeve_\w+/g)) t.ok(page.includes(`\`${name}\``), `${alert}: ${name}`);
});

t.test('errors of our own are the 5xx of docs/errors.md, but for what is the client’s mistake', async (t) => {
  const { expr } = rules.find(({ alert }) => alert === 'ReeveOwnErrors') as Rule;
  const codes = Object.entries(rescues).filter(([, { status }]) => status >= 500 && status !== 501);
  t.strictSame(/code=~"([^"]+)"/.exec(expr)?.[1]?.split('|').sort(), codes.map(([code]) => code).sort());
});

/** Series of a sidecar that is well, in the words of `promtool test rules`: a value a minute. */
const WELL: Readonly<Record<string, string>> = {
  up: '1x120',
  reeve_build_info: '1x120',
  reeve_config_generation: '3x120',
  reeve_config_last_reload_successful: '1x120',
  // Files that nobody changed for long are not stale.
  reeve_config_last_reload_success_timestamp_seconds: '1x120',
  reeve_config_loader_restarts_total: '0x120',
  'reeve_requests_engine_total{engine="fast"}': '0+6000x120',
  'reeve_requests_engine_total{engine="general"}': '0+600x120',
  'reeve_replies_total{code="upstream-reset"}': '0+6x120',
  'reeve_replies_total{code="quota-exceeded"}': '0+3000x120',
  reeve_nodejs_eventloop_lag_p99_seconds: '0.02x120',
  reeve_meter_connected: '1x120',
  reeve_meter_unacked_age_seconds: '1x120',
  'reeve_meter_ladder{step="single"}': '1x120',
  'reeve_meter_ladder{step="minutes"}': '0x120',
  'reeve_meter_ladder{step="hours"}': '0x120',
  'reeve_meter_ladder{step="full"}': '0x120',
  reeve_meter_lost_records_total: '0x120',
  // In memory alone, and nothing counts.
  reeve_quota_log_writing: '0x120',
  reeve_quota_series: '0x120',
  reeve_gossip_unanswered: '0x120',
  reeve_gossip_isolated: '0x120',
  reeve_gossip_members_expected: '3x120',
  'reeve_gossip_members{state="alive"}': '3x120',
  'reeve_gossip_members{state="left"}': '5x120',
  reeve_quota_unreachable: '0x120',
};

t.test('a sidecar says these series, with these labels', async (t) => {
  const upstream = await httpBackend(t, (_req, res) => res.end('ok'));
  const page = async (given: Readonly<Record<string, string>>): Promise<string> => {
    const tenancy = makeTenancy();
    const sidecar = await sidecarForTest(t, upstream, { tenancy, settings: { ...allOn(tenancy), ...given } });
    await (await fetch(sidecar.url)).text();
    return (await fetch(`http://127.0.0.1:${sidecar.ports.status}/metrics`)).text();
  };
  const usual = await page({});
  // Those of a code and an engine begin with the first of them.
  for (const series of Object.keys(WELL).filter((each) => !/^up$|code=|engine=/.test(each)))
    t.ok(usual.includes(`\n${series.replace('}', '')}`), series);
  t.match(usual, /\nreeve_replies_total\{code="credential-missing"\} 1\n/);
  t.match(usual, /\nreeve_requests_engine_total\{engine="fast"\} 1\n/);
  const general = await page({ 'wire.fastPath': 'false' });
  t.match(general, /\nreeve_requests_engine_total\{engine="general"\} 1\n/);
  t.notMatch(general, 'engine="fast"');
});

/** What goes wrong, and who says so, behind 90 minutes of it. */
const BAD: readonly (readonly [series: Readonly<Record<string, string>>, ...alerts: string[]])[] = [
  [{}],
  [{ up: '1x40 0x80', reeve_build_info: '1x40 _x80' }, 'ReeveDown'],
  [{ up: '0x120', reeve_build_info: '_x120' }],
  [{ reeve_config_generation: '0x120' }, 'ReeveNotReady'],
  [
    { reeve_config_last_reload_successful: '0x120', reeve_config_last_reload_success_timestamp_seconds: '3600x120' },
    'ReeveConfigRejected',
  ],
  [{ reeve_config_last_reload_successful: '0x120' }, 'ReeveConfigRejected', 'ReeveConfigStale'],
  [{ reeve_config_loader_restarts_total: '0x80 1x40' }, 'ReeveLoaderRestarted'],
  [{ 'reeve_requests_engine_total{engine="fast"}': '_x120' }, 'ReeveFastPathUnavailable'],
  [{ 'reeve_replies_total{code="upstream-reset"}': '0+100x120' }, 'ReeveOwnErrors'],
  [{ reeve_nodejs_eventloop_lag_p99_seconds: '0.2x120' }, 'ReeveLoopLag'],
  [{ reeve_meter_connected: '0x120' }, 'ReeveCollectorAway'],
  [{ reeve_meter_unacked_age_seconds: '0+60x120' }, 'ReeveRecordsNotAcked'],
  [{ 'reeve_meter_ladder{step="single"}': '0x120', 'reeve_meter_ladder{step="hours"}': '1x120' }, 'ReeveSpoolFilling'],
  [{ 'reeve_meter_ladder{step="single"}': '0x120', 'reeve_meter_ladder{step="full"}': '1x120' }, 'ReeveSpoolFull'],
  [{ reeve_meter_lost_records_total: '0x85 7x40' }, 'ReeveRecordsLost'],
  [{ reeve_quota_series: '4x120' }, 'ReeveQuotaLogNotWritten'],
  [{ reeve_gossip_unanswered: '1x120' }, 'ReeveSeedsUnanswered'],
  [{ reeve_gossip_isolated: '1x120' }, 'ReeveIsolated'],
  [{ 'reeve_gossip_members{state="alive"}': '2x120' }, 'ReeveMembersMissing'],
  [{ reeve_quota_unreachable: '1x120' }, 'ReeveHardQuotaUnreachable'],
];

const OF_TARGET = { job: 'reeve', instance: '10.0.0.1:15020' };

function withTarget(series: string): string {
  const [, name, labels = ''] = /^(\w+)(?:\{(.*)\})?$/.exec(series) as unknown as [string, string, string?];
  const target = Object.entries(OF_TARGET).map(([label, value]) => `${label}="${value}"`);
  return `${name}{${[...target, ...(labels === '' ? [] : [labels])].join(',')}}`;
}

/** What an alert says of the target. */
function fired({ labels, annotations }: Rule): object {
  const said = Object.entries(annotations).map(([name, text]) => [
    name,
    text.replaceAll('{{ $labels.instance }}', OF_TARGET.instance),
  ]);
  return { exp_labels: { ...OF_TARGET, ...labels }, exp_annotations: Object.fromEntries(said) };
}

t.test(
  'promtool: the rules are sound, and each alerts when it should',
  {
    skip: !existsSync(PROMTOOL) && 'missing: promtool is not installed (apt-get install prometheus)',
  },
  async (t) => {
    const checked = spawnSync(PROMTOOL, ['check', 'rules', FILE], { encoding: 'utf8' });
    t.equal(checked.status, 0, `${checked.stdout}${checked.stderr}`);
    t.strictSame(
      [...new Set(BAD.flatMap(([, ...alerts]) => alerts))].sort(),
      rules.map(({ alert }) => alert).sort(),
      'each has a state that it is for',
    );
    const dir = mkdtempSync(join(tmpdir(), 'reeve-alerts-'));
    t.teardown(() => rmSync(dir, { recursive: true }));
    for (const [series, ...alerts] of BAD) {
      const inputs = Object.entries({ ...WELL, ...series });
      const test = {
        interval: '1m',
        input_series: inputs.map(([name, values]) => ({ series: withTarget(name), values })),
        alert_rule_test: rules.map((rule) => ({
          eval_time: '90m',
          alertname: rule.alert,
          exp_alerts: alerts.includes(rule.alert) ? [fired(rule)] : [],
        })),
      };
      const file = join(dir, 'test.yaml');
      writeFileSync(file, JSON.stringify({ rule_files: [FILE], evaluation_interval: '1m', tests: [test] }));
      const { status, stdout, stderr } = spawnSync(PROMTOOL, ['test', 'rules', file], { encoding: 'utf8' });
      t.equal(status, 0, `${JSON.stringify(series)}: ${stdout}${stderr}`);
    }
  },
);
