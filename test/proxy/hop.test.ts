/** A request carries where it began and how many sidecars it passed, in both engines: as `tracestate`, that an application hands on unseen. */
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { exchangeRaw } from '../helpers/raw-client.ts';
import { httpBackend, sidecarForTest } from '../helpers/sidecar.ts';
import { makeTenancy } from '../helpers/tenancy.ts';
import { tokenFor } from '../helpers/tokens.ts';

const NL = '\r\n';
const TRACE = `traceparent: 00-${'a'.repeat(32)}-${'b'.repeat(16)}-01${NL}`;
const ROUTE = `apiVersion: reeve.dev/v1
kind: Route
metadata: { name: exports }
spec: { match: { path: /exports/* } }
`;

/** What the application sees as `tracestate`, a line each. */
async function sidecar(t: Test, engine: 'fast' | 'general', more: Record<string, string>, isMetered = true) {
  const upstream = await httpBackend(t, ({ rawHeaders }, res) =>
    res.end(JSON.stringify(rawHeaders.filter((_, at) => rawHeaders[at - 1]?.toLowerCase() === 'tracestate' && at % 2))),
  );
  const tenancy = makeTenancy();
  tenancy.write('hop-routes.yaml', ROUTE);
  const { port } = await sidecarForTest(t, upstream, {
    tenancy,
    settings: {
      'wire.fastPath': String(engine === 'fast'),
      ...(isMetered ? { 'metering.dir': join(tenancy.stateDir, 'spool') } : {}),
      ...more,
    },
  });
  return async (path: string, fields = ''): Promise<string[]> => {
    const auth = `Authorization: Bearer ${tokenFor('org_acme')}`;
    const head = `GET ${path} HTTP/1.1${NL}Host: a${NL}${auth}${NL}${fields}${NL}`;
    const { responses } = await exchangeRaw(port, head, { responses: 1 });
    return JSON.parse(responses[0]?.body ?? 'null') as string[];
  };
}

for (const engine of ['fast', 'general'] as const) {
  t.test(`${engine}: at an edge everything begins, whatever a client says`, async (t) => {
    const ask = await sidecar(t, engine, {});
    t.same(await ask('/exports/1'), ['reeve=1;sidecar/exports']);
    t.same(await ask('/none'), ['reeve=1;sidecar/']);
    t.same(await ask('/none', `${TRACE}tracestate: reeve=7;x/y,a=1${NL}tracestate: b=2${NL}`), ['reeve=1;sidecar/']);
    const proxied = await sidecar(t, engine, { 'inbound.trustedProxies': '127.0.0.1/32' });
    t.same(await proxied('/exports/1', `${TRACE}tracestate: reeve=7;x/y${NL}`), ['reeve=1;sidecar/exports']);
  });

  t.test(`${engine}: within the mesh it goes on, a hop further, with what others said`, async (t) => {
    const ask = await sidecar(t, engine, { 'inbound.class': 'mesh' });
    t.same(await ask('/exports/1', `${TRACE}tracestate: a=1,reeve=1;shop/list${NL}tracestate: b=2${NL}`), [
      'reeve=2;shop/list,a=1,b=2',
    ]);
    t.same(await ask('/', `${TRACE}tracestate: reeve=255;shop/${NL}`), ['reeve=255;shop/']);
    t.same(await ask('/exports/1', `${TRACE}tracestate: reeve=1;Shop/list,a=1${NL}`), ['reeve=1;sidecar/exports,a=1']);
    t.same(await ask('/exports/1', TRACE), ['reeve=1;sidecar/exports'], 'nobody said anything');
    t.same(await ask('/exports/1', `tracestate: reeve=1;shop/list${NL}`), ['reeve=1;sidecar/exports'], 'no trace');
  });

  t.test(`${engine}: a sidecar that records nothing is no hop`, async (t) => {
    const ask = await sidecar(t, engine, { 'inbound.class': 'mesh' }, false);
    t.same(await ask('/', `${TRACE}tracestate: a=1,reeve=1;shop/list${NL}`), ['a=1,reeve=1;shop/list']);
  });
}
