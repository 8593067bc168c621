/** The HTTP API over a collector in memory: what it answers, and that its document says so. */
import t, { type Test } from 'tap';
import {
  type ApiAnswer,
  answerApi,
  Collector,
  type ReadToken,
  registerCollectorMetrics,
  SegmentLedger,
} from '../../src/collector/index.ts';
import { ReeveError, systemClock, systemTimers } from '../../src/core/index.ts';
import { createMetrics, silentLog } from '../../src/telemetry/index.ts';
import { MemoryDisk } from '../metering/memory-disk.ts';
import { openKeeper } from './kept/open-keeper.ts';
import { MemoryRollups } from './memory-rollups.ts';
import { Heard, SPOOL, T0, Teller, usage } from './told.ts';

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
const NOW = T0 + 120_000;

async function serve(t: Test, tokens: readonly ReadToken[] = []) {
  const disk = new MemoryDisk();
  const memory = new MemoryRollups();
  const store = Object.assign(memory, {
    export: async (form: string, fromS: number, toS: number) => `/tmp/${form}-${fromS}-${toS}`,
  });
  const clock = { ...systemClock, wallMs: () => NOW };
  const collector = await Collector.open({
    clock,
    timers: systemTimers,
    log: silentLog,
    store,
    creditBytes: 10_000_000,
    graceMs: 60_000,
    patienceMs: 900_000,
    keepLedgerMs: 86_400_000,
    openLedger: () => SegmentLedger.open({ dir: '/ledger', disk, clock, onDamage: () => {} }),
  });
  t.teardown(() => collector.close());
  const heard = new Heard();
  const session = collector.session(heard);
  const teller = new Teller();
  session.receive(teller.hello());
  await turn();
  session.receive(
    teller.batch([
      ...Array.from({ length: 3 }, (_, i) => usage({ wallMs: T0 + i * 20_000, tenant: 'acme' })),
      usage({ tenant: 'globex', route: 'a,"b"', units: [{ meter: 'tokens', units: 2.5 }], wallMs: NOW - 5000 }),
      usage({ tenant: 'globex', outcome: 'reported', units: [{ meter: 'tokens', units: 4 }], wallMs: NOW - 5000 }),
    ]),
  );
  while (heard.words.length < 2) await turn();
  const o = {
    version: '9.9',
    collector,
    store,
    nowMs: () => NOW,
    graceMs: 60_000,
    keepMinutesS: 7 * 86_400,
    tokens: () => tokens,
  };
  const ask = (target: string, more: { method?: string; accept?: string; token?: string } = {}): Promise<ApiAnswer> =>
    answerApi(o, {
      method: more.method ?? 'GET',
      url: new URL(target, 'http://localhost'),
      accept: more.accept ?? '*/*',
      authorization: more.token === undefined ? undefined : `Bearer ${more.token}`,
    });
  return { collector, session, store, ask };
}

const rowsOf = ({ body }: ApiAnswer): object[] => (JSON.parse(body) as { rows: object[] }).rows;

t.test('usage by dimensions and windows, with what it is made of', async (t) => {
  const { ask } = await serve(t);
  const answer = await ask('/v1/usage?tenant=acme&meter=requests&from=1h&by=route,1m');
  t.equal(answer.status, 200);
  t.match(JSON.parse(answer.body), {
    query: { source: 'minutes', stepS: 60, by: ['route'], where: { tenant: 'acme' }, meter: 'requests' },
    rows: [{ time: '2026-09-24T10:13:00Z', route: 'orders', meter: 'requests', value: 2 }, { value: 1 }],
    provenance: {
      complete: false,
      spoolCount: 1,
      spools: [{ spool: SPOOL, service: 'orders', epoch: 1, seq: 5, records: 5, lost: 0 }],
      incomplete: [{ spool: SPOOL, service: 'orders', instance: 'pod-1' }],
      ledger: { segment: 1 },
    },
  });
  t.match(answer.headers, { 'x-reeve-complete': 'false', 'x-reeve-complete-until': new Date(T0).toISOString() });
  t.match(rowsOf(await ask('/v1/usage?meter=tokens&by=tenant')), [{ tenant: 'globex', meter: 'tokens', value: 6.5 }]);
  t.equal(rowsOf(await ask('/v1/usage')).length, 6, 'all meters');
  t.match(rowsOf(await ask('/v1/usage?by=tenant&meter=requests&top=1')), [{ tenant: 'acme', value: 3 }]);
  t.match(rowsOf(await ask('/v1/usage?meter=requests&status=2&outcome=ok')), [{ value: 4 }]);
  t.match(rowsOf(await ask('/v1/usage?meter=requests&by=operation&operation=orders/orders')), [
    { operation: 'orders/orders', meter: 'requests' },
  ]);
  t.same(rowsOf(await ask(`/v1/usage?operation=${'s'.repeat(63)}/${'r'.repeat(63)}`)), [], 'two long names');
  const csv = await ask('/v1/usage?by=tenant,route&meter=requests', { accept: 'text/csv' });
  t.match(csv, {
    contentType: /^text\/csv/,
    body: 'tenant,route,meter,value\r\nacme,orders,requests,3\r\nglobex,"a,""b""",requests,1\r\nglobex,orders,requests,0\r\n',
  });
  const lines = await ask('/v1/usage?by=tenant&meter=requests&format=ndjson', { accept: 'text/csv' });
  t.match(lines, {
    contentType: 'application/x-ndjson',
    body: '{"tenant":"acme","meter":"requests","value":3}\n{"tenant":"globex","meter":"requests","value":1}\n',
  });
  for (const [accept, type] of [
    ['application/x-ndjson;q=0.5, application/json', /^application\/json/],
    ['text/html, text/csv;q=0', /^application\/json/],
    ['application/ndjson', /ndjson/],
  ] as const)
    t.match((await ask('/v1/usage', { accept })).contentType, type);
  t.match(JSON.parse((await ask(`/v1/usage?from=2026-09-24T10:00:00Z&to=2026-09-24&service=orders`)).body), {
    code: 'bad-parameter',
  });
});

t.test('the top of the last seconds, differences, exports, spools and writing off', async (t) => {
  const { ask, session, store } = await serve(t);
  t.match(rowsOf(await ask('/v1/usage/top?last=120s&limit=1')), [{ tenant: 'acme', meter: 'requests', value: 2 }]);
  t.match(rowsOf(await ask('/v1/usage/top?meter=tokens&last=10s')), [{ tenant: 'globex', value: 6.5, per_sec: 0.65 }]);
  t.match(JSON.parse((await ask('/v1/reconcile?from=2d')).body), {
    services: 0,
    differences: [],
    incomplete: [{}],
    hasMore: false,
  });
  t.match(await ask('/v1/usage/export?format=parquet&from=2026-09-24&to=2026-09-25'), {
    contentType: 'application/vnd.apache.parquet',
    file: `/tmp/parquet-${Date.parse('2026-09-24') / 1000}-${Date.parse('2026-09-25') / 1000}`,
  });
  t.match(JSON.parse((await ask('/v1/spools')).body), {
    spools: [{ spool: SPOOL, state: 'live', isConnected: true, epoch: 1, seq: 5 }],
  });
  t.match(await ask(`/v1/spools/${SPOOL}/write-off`, { method: 'POST' }), { status: 409 });
  t.match(await ask('/v1/spools/none/write-off', { method: 'POST' }), { status: 404, body: /reeve usage spools/ });
  session.close();
  t.match(await ask(`/v1/spools/${SPOOL}/write-off`, { method: 'POST' }), { status: 200, body: /written off/ });
  t.match(rowsOf(await ask('/v1/usage?meter=requests')), [{ value: 4 }]);
  store.query = async () => ({ tooMany: 7 });
  t.match(await ask('/v1/usage'), { status: 422, body: /More than 7 rows/ });
  await t.rejects(ask('/v1/usage/top'));
  store.query = async () => {
    throw new ReeveError('busy', 'many ask', { remedy: 'later' });
  };
  t.match(await ask('/v1/usage'), { status: 503, body: /many ask \(later\)/ });
  store.query = async () => {
    throw new ReeveError('other', 'no');
  };
  t.match(await ask('/v1/usage'), { status: 500 });
});

t.test('what is asked wrongly is said with what would be right', async (t) => {
  const { ask } = await serve(t);
  for (const [target, words] of [
    ['/v1/usage?tenat=a', /tenat: there is no such parameter; did you mean tenant\?/],
    ['/v1/usage?zzzzzzzzzzz=a', /there are from, to/],
    ['/v1/usage?tenant=a&tenant=b', /given twice/],
    ['/v1/usage?by=tennant', /did you mean tenant\?/],
    ['/v1/usage?by=zzzzzzzzzzzz', /expected some of tenant/],
    ['/v1/usage?by=1h,1d', /windows have one length/],
    ['/v1/usage?from=yesterday', /expected a time such as/],
    ['/v1/usage?from=2026-99-99', /expected a time such as/],
    ['/v1/usage?from=1h&to=2h', /not before/],
    ['/v1/usage?from=30d&by=1m', /minutes are kept for 7 days/],
    ['/v1/usage?status=200', /first digit/],
    ['/v1/usage?tenant=%00', /expected a name/],
    [`/v1/usage?operation=${'x'.repeat(128)}`, /expected a name/],
    [`/v1/usage?route=${'x'.repeat(64)}`, /expected a name/],
    ['/v1/usage?meter=a%20b', /expected requests, bytes_in/],
    ['/v1/usage?format=xml', /json, csv or ndjson/],
    ['/v1/usage/export?format=xml', /csv, ndjson or parquet/],
    ['/v1/usage/top?last=1h', /1s to 120s/],
    ['/v1/usage?top=3', /needs a meter/],
    ['/v1/usage?top=x&meter=requests', /1 to 1000/],
    ['/v1/usage/top?limit=0', /1 to 1000/],
    ['/v1/usage/top?by=1h', /top is of one time/],
  ] as const) {
    const answer = await ask(target);
    t.equal(answer.status, 400, target);
    t.match(JSON.parse(answer.body), { code: 'bad-parameter', detail: words }, target);
    t.match(JSON.parse(answer.body), { detail: /[^.?][.?]$/ }, 'one mark at its end');
  }
  t.match(await ask('/v1/nothing'), { status: 404, body: /\/v1\/usage/ });
  t.match(await ask('/v1/usage', { method: 'POST' }), { status: 405, headers: { allow: 'GET' } });
  t.match(await ask('/v1/usage', { method: 'HEAD' }), { status: 200 });
  t.match(await ask(`/v1/spools/${SPOOL}/write-off`), { status: 405, headers: { allow: 'POST' } });
});

t.test('tokens: all, or one tenant and nothing else', async (t) => {
  const { ask } = await serve(t, [
    { token: 'all', tenant: undefined },
    { token: 'one', tenant: 'acme' },
  ]);
  for (const token of [undefined, 'none'])
    t.match(await ask('/v1/usage', token === undefined ? {} : { token }), {
      status: 401,
      headers: { 'www-authenticate': 'Bearer' },
    });
  t.match(rowsOf(await ask('/v1/usage?by=tenant&meter=requests', { token: 'all' })), [
    { tenant: 'acme' },
    { tenant: 'globex' },
  ]);
  const own = await ask('/v1/usage?by=tenant&meter=requests', { token: 'one' });
  t.same(rowsOf(own), [{ tenant: 'acme', meter: 'requests', value: 3 }]);
  t.equal(rowsOf(await ask('/v1/usage?tenant=acme&meter=requests', { token: 'one' })).length, 1);
  t.match(await ask('/v1/usage?tenant=globex', { token: 'one' }), { status: 403 });
  t.match(await ask('/v1/spools', { token: 'one' }), { status: 403 });
  const writeOff = `/v1/spools/${SPOOL}/write-off`;
  t.match(await ask(writeOff, { method: 'POST', token: 'one' }), { status: 403 });
  t.match(await ask(writeOff, { method: 'POST', token: 'all' }), { status: 409 }, 'it has a stream');
  t.same(
    (JSON.parse(own.body) as { provenance: object }).provenance,
    {
      asOf: new Date(NOW).toISOString(),
      complete: false,
      completeUntil: new Date(T0).toISOString(),
      incompleteCount: 1,
      incomplete: [],
    },
    'a tenant sees nothing of the fleet',
  );
  for (const told of [SPOOL, 'pod-1', '"spools"', '"ledger"']) t.notMatch(own.body, told);
});

t.test('the OpenAPI document is what is served: each path, method and parameter, and no other', async (t) => {
  const { ask } = await serve(t);
  const document = JSON.parse((await ask('/v1/openapi.json')).body) as {
    info: { version: string };
    paths: Record<
      string,
      Record<
        string,
        { parameters: { name: string; in: string }[]; responses: { 200: { content: Record<string, object> } } }
      >
    >;
  };
  t.equal(document.info.version, '9.9');
  const good: Record<string, string> = {
    from: '1h',
    to: '2026-09-24T10:14:00Z',
    by: 'tenant',
    meter: 'requests',
    last: '10s',
    limit: '3',
    top: '3',
    format: 'csv',
    status: '2',
  };
  for (const [path, methods] of Object.entries(document.paths))
    for (const [method, { parameters, responses }] of Object.entries(methods)) {
      const target = path.replace(/\{\w+\}/, SPOOL);
      const asked = { method: method.toUpperCase() };
      t.not((await ask(target, asked)).status, 404, target);
      for (const { name, in: place } of parameters) {
        if (place === 'path') continue;
        t.equal(
          (
            await ask(
              `${target}?${name}=${encodeURIComponent(good[name] ?? 'x')}${name === 'top' ? '&meter=requests' : ''}`,
              asked,
            )
          ).status,
          200,
          `${target} ${name}`,
        );
      }
      t.equal((await ask(`${target}?unheard=1`, asked)).status, 400);
      if (method !== 'get') continue;
      const types = Object.keys(responses[200].content);
      for (const format of ['json', 'csv', 'ndjson', 'parquet']) {
        if (!parameters.some(({ name }) => name === 'format')) continue;
        const { status, contentType } = await ask(`${target}?format=${format}`);
        t.ok(status === 400 || types.includes(contentType.split(';')[0] as string), `${target} ${contentType}`);
      }
    }
});

t.test('metrics: the collector, and each tenant in slices', async (t) => {
  const { collector } = await serve(t);
  await collector.settle();
  const metrics = createMetrics({ timers: systemTimers });
  registerCollectorMetrics({
    metrics,
    collector,
    keeper: openKeeper(new MemoryDisk()),
    streams: () => 1,
    figures: () => ({ hotRows: 1, files: 2, fileBytes: 3 }),
    nowMs: () => NOW,
  });
  let text = '';
  for await (const chunk of metrics.exposition()) text += chunk;
  t.match(text, /^reeve_collector_records_total 5$/m);
  t.match(text, /^reeve_collector_watermark_lag_seconds 120$/m);
  t.match(text, /^reeve_collector_refusals_total\{kind="fenced"\} 0$/m);
  for (const family of metrics.rows()) t.match(text, new RegExp(`^${family.name}[ {]`, 'm'), family.name);
  let tenants = '';
  for await (const chunk of collector.totals.exposition('text')) tenants += chunk;
  t.match(tenants, /^# TYPE reeve_tenant_usage_total counter$/m);
  t.match(tenants, /^reeve_tenant_usage_total\{tenant="acme",meter="requests"\} 3$/m);
  t.match(tenants, /^reeve_tenant_usage_total\{tenant="globex",meter="tokens"\} 6.5$/m);
  for await (const chunk of collector.totals.exposition('openmetrics'))
    t.match(chunk, /# TYPE reeve_tenant_usage counter/);
});
