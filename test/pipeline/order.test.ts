import t from 'tap';
import {
  type Admitted,
  chain,
  type Exchange,
  type Filter,
  type Grant,
  type Identified,
  type Sanitised,
} from '../../src/pipeline/index.ts';
import type { Tenant } from '../../src/tenants/index.ts';

const sanitise: Filter<Exchange, { sanitised: true }> = { name: 'sanitise', onThrow: 'deny' };
const identify: Filter<Sanitised, { tenant: Tenant; source: 'jwt' }> = { name: 'identify', onThrow: 'deny' };
const limit: Filter<Identified, { grant: Grant }> = { name: 'limit', onThrow: 'deny' };
const route: Filter<Admitted> = { name: 'route', onThrow: 'deny' };
const begin = () => chain(() => {});

t.test('stages in the right order are accepted by the compiler', async (t) => {
  const pipeline = begin().use(sanitise).use(identify).use(limit).use(route).compile();
  t.same(pipeline.stages, ['sanitise', 'identify', 'limit', 'route']);
});

t.test('a stage before the one it needs is a compile error', async (t) => {
  // Each line below fails `tsc` when the compiler accepts it: an unused expectation is an error too.
  // @ts-expect-error limits need a tenant
  begin().use(limit);
  // @ts-expect-error identity needs a sanitised request
  begin().use(identify);
  // @ts-expect-error limits do not stand before identity
  begin().use(sanitise).use(limit).use(identify);
  // @ts-expect-error routing needs a grant
  begin().use(sanitise).use(identify).use(route);
  t.pass('the expectations are checked by npm run check');
});
