/** A sidecar has at most 1,500 series at worst: the sum over its families, not what one run happened to see. */
import { connect } from 'node:net';
import t from 'tap';
import { startSidecar } from '../../src/cli/sidecar.ts';
import { type Metrics, silentLog } from '../../src/telemetry/index.ts';
import { allOn, configFor, httpBackend, settings } from '../helpers/sidecar.ts';
import { makeTenancy, plan, tenant } from '../helpers/tenancy.ts';
import { tokenFor } from '../helpers/tokens.ts';

const SERIES_MAX = 1500;
/** Of the process itself, as prom-client has them: four kinds of collection and three figures of nine heap spaces make most. */
const OF_THE_PROCESS_MAX = 130;
const PLANS = 40;

/** Lines by family, those of the process under ''. */
function linesOf(metrics: Metrics, text: string): Map<string, number> {
  const lines = new Map<string, number>();
  const own = new Set(metrics.rows().map(({ name }) => name));
  for (const line of text.split('\n').filter((each) => each !== '' && !each.startsWith('#'))) {
    const name = /^[a-z_]+/.exec(line)?.[0] as string;
    const family = [name, name.replace(/_(bucket|sum|count)$/, '')].find((each) => own.has(each)) ?? '';
    lines.set(family, (lines.get(family) ?? 0) + 1);
  }
  return lines;
}

t.test('at most 1,500 series at worst, and no family has more than it says', async (t) => {
  const upstream = await httpBackend(t, (_req, res) => res.end('ok'));
  const tenancy = makeTenancy({
    'plans.yaml': plan('free') + Array.from({ length: PLANS }, (_, i) => plan(`p${i}`)).join(''),
    'more.yaml': Array.from({ length: PLANS * 2 }, (_, i) => tenant(`t${i}`, { plan: `p${i % PLANS}` })).join(''),
  });
  const upstreams = new Map(Array.from({ length: 12 }, (_, i) => [`u${i}`, 'http://127.0.0.1:1'] as const));
  const config = configFor(settings(upstream, tenancy, allOn(tenancy)));
  const sidecar = await startSidecar({ ...config, upstreams }, { log: silentLog });
  t.teardown(async () => {
    await sidecar.close();
    tenancy.cleanUp();
  });
  const { inbound } = sidecar.ports;
  const ask = async (headers: Record<string, string>): Promise<void> =>
    void (await (await fetch(`http://127.0.0.1:${inbound}`, { headers })).text());
  for (let i = 0; i < PLANS * 2; i++) await ask({ authorization: `Bearer ${tokenFor(`org_t${i}`)}` });
  await ask({});
  await new Promise<void>((resolve) => {
    const socket = connect(inbound, '127.0.0.1', () => socket.write('GET / HTTP/1.1\r\nHost: a b\r\n\r\n'));
    socket.resume().once('close', resolve);
  });

  const text = await textOf(sidecar.metrics);
  t.match(text, /^reeve_upstream_up\{upstream="__other__"\} 1$/m);
  t.match(text, /^reeve_requests_total\{plan="-",decision="refused",code_class="4xx"\} 1$/m);
  for (const family of ['reeve_requests_total', 'reeve_limit_decisions_total'])
    t.equal(text.split(`\n${family}{plan="__other__"`).length, 2, `plans beyond the bound are one row of ${family}`);
  const rows = sidecar.metrics.rows();
  const lines = linesOf(sidecar.metrics, text);
  for (const { name, seriesMax } of rows) t.ok((lines.get(name) ?? 0) <= seriesMax, `${name}: ${lines.get(name)}`);
  const ofTheProcess = lines.get('') as number;
  t.ok(ofTheProcess <= OF_THE_PROCESS_MAX, `${ofTheProcess} of the process`);
  const worst = rows.reduce((sum, { seriesMax }) => sum + seriesMax, OF_THE_PROCESS_MAX);
  t.ok(worst <= SERIES_MAX, `${worst} at worst: ${rows.map((row) => `${row.name} ${row.seriesMax}`).join(', ')}`);
  t.comment(`figure: at most ${worst} series a sidecar by arithmetic`);
});

async function textOf(metrics: Metrics): Promise<string> {
  let text = '';
  for await (const chunk of metrics.exposition()) text += chunk;
  return text;
}
