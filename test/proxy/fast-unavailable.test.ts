/** Where Node does not give what the fast engine stands on, the general one serves everything, and the log says so. */
import t from 'tap';
import { childSidecar, httpBackend, settings } from '../helpers/sidecar.ts';
import { makeTenancy } from '../helpers/tenancy.ts';
import { tokenFor } from '../helpers/tokens.ts';

t.test('under the permission model of Node requests are served all the same', async (t) => {
  const upstream = await httpBackend(t, (_, res) => res.end('ok'));
  const tenancy = makeTenancy();
  t.teardown(() => tenancy.cleanUp());
  const sidecar = await childSidecar(t, settings(upstream, tenancy, { 'wire.fastPath': 'true' }), {
    nodeArgs: ['--permission', '--allow-fs-read=*', '--allow-fs-write=*', '--allow-worker'],
  });
  const answer = await fetch(`http://127.0.0.1:${sidecar.ports.inbound}/`, {
    headers: { authorization: `Bearer ${tokenFor('org_acme')}` },
  });
  t.equal(answer.status, 200);
  t.equal(await answer.text(), 'ok');
  const metrics = await (await fetch(`http://127.0.0.1:${sidecar.ports.status}/metrics`)).text();
  t.match(metrics, 'reeve_requests_engine_total{engine="general"} 1');
  t.match(sidecar.lines.join(''), /engine\.fast_unavailable.*general engine/);
});
