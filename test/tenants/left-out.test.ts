import t from 'tap';
import { whyLeftOut } from '../../src/tenants/left-out.ts';

t.test('who is left out, and no finding says why, is told what is known', async (t) => {
  const found = { leftOut: { total: 2, first: [{ name: 'a' }, { name: 'b', plan: 'small' }] }, findings: [] };
  t.same(
    ['a', 'b', 'c'].map((name) => whyLeftOut(found as never, name)),
    ['its document has an error', 'its Plan "small" is not in force', undefined],
  );
});
