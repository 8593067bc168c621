import t from 'tap';
import { tenantFields } from '../../src/identity/index.ts';

t.test('the application is told of a tenant by its id and its plan, and of nobody nothing', async (t) => {
  t.same(tenantFields({ id: 'acme', plan: { name: 'free' } } as never), [
    'x-tenant-id',
    'acme',
    'x-tenant-plan',
    'free',
  ]);
  t.same(tenantFields(undefined), []);
});
