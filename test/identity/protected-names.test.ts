import fc from 'fast-check';
import t from 'tap';
import { isProtectedName } from '../../src/identity/index.ts';

t.test('protected names, whatever their case and separators', async (t) => {
  for (const name of [
    'x-tenant-id',
    'X_TENANT_ID',
    'x.tenant.x',
    'x~tenant~id',
    "X!Tenant'Id",
    'x-tenant-',
    'Tenant-Id',
    'tenant+id',
    'TXN_TOKEN',
    'txn|token',
    'x-reeve-usage',
    'x^reeve^1',
    'X-Forwarded-Client-Cert',
    'x_forwarded.client-cert',
  ])
    t.ok(isProtectedName(name), name);
});

t.test('names beside them are not', async (t) => {
  for (const name of [
    'x-tenants',
    'x-tenant',
    'x-tenantid',
    'x-tenant1id',
    'tenant',
    'tenants-id',
    'txn-tokens',
    'txn-toke',
    'x-reeve',
    'x-request-id',
    'x-forwarded-client-cert2',
    'te',
    'x',
    't',
    '',
    'host',
    'x-forwarded-for',
    'authorization',
    '-x-tenant-id',
    'traceparent',
  ])
    t.notOk(isProtectedName(name), name);
});

t.test('every spelling of a protected name that a server may read as it is protected', async (t) => {
  const separator = fc.constantFrom(..."-_.!#$%&'*+^`|~");
  const names = fc.constantFrom('x-tenant-id', 'tenant-plan', 'txn-token', 'x-reeve-usage', 'x-forwarded-client-cert');
  fc.assert(
    fc.property(
      names,
      fc.array(separator, { minLength: 4, maxLength: 4 }),
      fc.infiniteStream(fc.boolean()),
      (name, separators, upper) => {
        let at = 0;
        const spelling = [...name]
          .map((char) => (char === '-' ? separators[at++] : upper.next().value === true ? char.toUpperCase() : char))
          .join('');
        return isProtectedName(spelling);
      },
    ),
    { seed: 42, numRuns: 500 },
  );
  t.pass('seed 42');
});
