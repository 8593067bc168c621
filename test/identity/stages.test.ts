/** What the two stages do around the sources: removing, refusing, charging, injecting. */
import t from 'tap';
import { HeaderList } from '../../src/wire/index.ts';
import { tenant } from '../helpers/tenancy.ts';
import { tokenFor } from '../helpers/tokens.ts';
import { identityWorld } from './world.ts';

const bearer = (org: string): string[] => ['Authorization', `Bearer ${tokenFor(org)}`];

t.test('protected names are removed before anything is looked at, also from what is refused', async (t) => {
  const w = await identityWorld();
  const forged = ['X-Tenant-Id', 'globex', 'X_TENANT.ID', 'globex', 'Txn-Token', 'a', 'A', '1', 'x~reeve~1', 'b'];
  const { x } = await w.ask([...forged, ...bearer('org_acme')]);
  t.same(x.headers.names, ['a', 'authorization']);
  t.ok(x.sanitised);
  t.same([x.tenant?.id, x.tenant?.plan.name], ['acme', 'free']);
  const refused = await w.ask(forged);
  t.same(refused.x.headers.names, ['a']);
  t.equal(refused.x.tenant, undefined);
  t.equal(await w.count('reeve_spoofing_attempts_total'), 2);
  t.match(w.lines[0], /identity.spoofing.*"fields":4,"refused":false/);
});

t.test('a strict listener refuses them, and only them', async (t) => {
  const w = await identityWorld({}, { 'inbound.strict': 'true' });
  t.equal(await w.who([...bearer('org_acme'), 'x_tenant_id', 'x']), 'protected-header');
  t.equal(await w.who(bearer('org_acme')), 'acme');
});

t.test('certificates are believed from trusted proxies alone, under their exact name', async (t) => {
  const w = await identityWorld({}, { 'inbound.trustedProxies': '10.0.0.0/8,::1,2001:db8::/32,fe80::1' });
  const fields = [
    ...bearer('org_acme'),
    'X-Forwarded-Client-Cert',
    'a',
    'X_Forwarded_Client_Cert',
    'b',
    'X-Tenant-Id',
    'c',
  ];
  const left = async (peer: string): Promise<string[]> => (await w.ask(fields, { peer })).x.headers.names.slice(1);
  for (const peer of ['10.1.2.3', '::ffff:10.1.2.3', '::1', '2001:db8::9', 'fe80::1%eth0'])
    t.same(await left(peer), ['x-forwarded-client-cert'], peer);
  for (const peer of ['11.1.2.3', '::2', '2001:db9::9', '']) t.same(await left(peer), [], `a stranger: ${peer}`);
  const strict = await identityWorld({}, { 'inbound.trustedProxies': '10.0.0.0/8', 'inbound.strict': 'true' });
  const certified = [...bearer('org_acme'), 'X-Forwarded-Client-Cert', 'a'];
  t.equal(await strict.who(certified, { peer: '10.1.1.1' }), 'acme');
  t.equal(await strict.who(certified, { peer: '11.1.1.1' }), 'protected-header');
});

t.test('tenant material is removed from what goes to the client, whoever answered', async (t) => {
  const w = await identityWorld();
  const { x } = await w.ask([]);
  const headers = new HeaderList(['A', '1', 'X-Tenant-Plan', 'p', 'x_reeve.usage', 'u', 'Txn-Token', 't']);
  w.pipeline.response(x, { status: 200, headers });
  t.same(headers.raw, ['A', '1']);
  const clean = new HeaderList(['A', '1']);
  w.pipeline.response(x, { status: 200, headers: clean });
  t.same(clean.raw, ['A', '1']);
});

t.test('the application sees credentials or not, as configured', async (t) => {
  const w = await identityWorld({}, { 'identity.injectCredentials': 'false' });
  const { x } = await w.ask([...bearer('org_acme'), 'Accept', 'a']);
  t.same(x.headers.names, ['accept']);
});

t.test(
  'what a verified tenant does is never charged to strangers of its network, and its log lines are bounded',
  async (t) => {
    const w = await identityWorld(
      { 'tenants.yaml': tenant('acme', { state: 'readonly' }) },
      { 'anonymous.limit': '1/min', 'anonymous.burst': '3' },
    );
    const fields = bearer('org_acme');
    for (let i = 0; i < 10; i++) t.equal(await w.who(fields, { method: 'DELETE' }), 'tenant-readonly');
    for (let i = 0; i < 10; i++) t.equal(await w.who([...fields, 'X-Tenant-Id', 'x']), 'acme');
    t.equal(w.lines.length, 3, w.lines.join('\n'));
    t.match(w.lines[0], /"reason":"tenant-readonly".*"tenant":"acme"/);
    const codes = [];
    for (let i = 0; i < 4; i++) codes.push(await w.who([]));
    t.same(codes, ['credential-missing', 'credential-missing', 'credential-missing', 'anonymous-rate']);
    t.equal(await w.who(fields), 'acme');
  },
);

t.test('an unidentified peer that waits as long as it is told is answered again', async (t) => {
  const w = await identityWorld({}, { 'anonymous.limit': '1/min', 'anonymous.burst': '1' });
  t.equal(await w.who([]), 'credential-missing');
  const { reply } = await w.ask([]);
  t.match(reply, { code: 'anonymous-rate' });
  w.clock.advance(reply?.retryAfterMs as number);
  t.equal(await w.who([]), 'credential-missing');
});
