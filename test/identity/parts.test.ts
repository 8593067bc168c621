import t from 'tap';
import { AnonymousTable, prefixOf } from '../../src/identity/anonymous.ts';
import { isPrivateAddress } from '../../src/identity/fetch-keys.ts';
import { isProtectedName } from '../../src/identity/index.ts';
import { readForm } from '../../src/identity/token.ts';
import { TokenCache } from '../../src/identity/token-cache.ts';
import { ManualClock } from '../helpers/manual-clock.ts';
import { tokenFor } from '../helpers/tokens.ts';

t.test('protected names, whatever their spelling', async (t) => {
  for (const name of [
    'x-tenant-id',
    'X_TENANT_ID',
    'x.tenant.x',
    'Tenant-Id',
    'TXN_TOKEN',
    'x-reeve-usage',
    'X-Forwarded-Client-Cert',
  ])
    t.ok(isProtectedName(name), name);
  for (const name of ['x-tenants', 'tenant', 'x-request-id', 'te', 'host', 'x-forwarded-for', 'authorization'])
    t.notOk(isProtectedName(name), name);
});

t.test('peers are one by their prefix', async (t) => {
  t.equal(prefixOf('10.1.2.3'), '10.1.2');
  t.equal(prefixOf('::ffff:10.1.2.3'), '10.1.2');
  t.equal(prefixOf('2001:db8:1:2:3:4:5:6'), '2001:db8:1:2');
  t.equal(prefixOf('2001:db8::1'), '2001:db8:0:0');
  t.equal(prefixOf('::1'), '0:0:0:0');
  const clock = new ManualClock();
  const table = new AnonymousTable(clock, { perSec: 10, burst: 2 });
  t.same([table.charge('1.1.1.1'), table.charge('1.1.1.2')], [0, 0]);
  t.ok(table.charge('1.1.1.3') > 0);
  t.equal(table.charge('1.1.2.1'), 0);
  clock.advance(1000);
  t.equal(table.charge('1.1.1.1'), 0);
  t.equal(table.size, 2);
});

t.test('private addresses', async (t) => {
  for (const address of ['10.0.0.1', '127.0.0.1', '169.254.169.254', '::1', 'fd00::1', '::ffff:10.0.0.1'])
    t.ok(isPrivateAddress(address), address);
  for (const address of ['1.1.1.1', '2606:4700::1']) t.notOk(isPrivateAddress(address), address);
});

t.test('a verdict lives no longer than its token, its keys and a minute', async (t) => {
  const cache = new TokenCache();
  const provider = { name: 'p' } as never;
  const providers = new Map([['p', provider]]);
  const keys = { isCurrent: true, byAlgorithm: new Map(), ignored: [] };
  cache.addVerified('a', { externalId: 'x', expiresMs: 500, keys, provider }, 0);
  cache.addVerified('b', { externalId: 'y', expiresMs: 1e9, keys, provider }, 0);
  t.equal(cache.verified('a', 499, providers)?.externalId, 'x');
  t.equal(cache.verified('a', 500, providers), undefined);
  t.equal(cache.verified('b', 59_999, providers)?.externalId, 'y');
  t.equal(cache.verified('b', 60_000, providers), undefined);
  cache.addVerified('c', { externalId: 'z', expiresMs: 1e9, keys, provider }, 0);
  t.equal(cache.verified('c', 1, new Map([['p', {} as never]])), undefined, 'another version of the provider');
  cache.addVerified('c', { externalId: 'z', expiresMs: 1e9, keys, provider }, 0);
  keys.isCurrent = false;
  t.equal(cache.verified('c', 1, providers), undefined);
  const reply = { code: 'credential-invalid', detail: '' } as const;
  cache.addRefused('d', reply, 0, providers);
  t.equal(cache.refused('d', 999, providers), reply);
  t.equal(cache.refused('d', 1000, providers), undefined);
  t.equal(cache.refused('d', 1, new Map()), undefined);
  t.equal(cache.size, 0);
});

t.test('the form of a token says who may verify it', async (t) => {
  t.match(readForm(tokenFor('o', {}, { typ: 'application/AT+JWT' })), {
    algorithm: 'RS256',
    keyId: 'k1',
    type: 'at+jwt',
  });
  t.equal(readForm('a.b'), undefined);
  const part = (text: string): string => Buffer.from(text).toString('base64url');
  t.match(readForm(`${part('{"alg":"X","a":"\\"b:c","d":[{"e":1}]}')}.${part('{"iss":"i"}')}.AA`), {
    algorithm: 'X',
    keyId: undefined,
    type: undefined,
  });
});
