import t from 'tap';
import { empty } from '../../src/core/index.ts';

t.test('a list that is emptied is the same list, and holds nothing', async (t) => {
  const list = Array.from({ length: 1000 }, (_, at) => at);
  empty(list);
  t.same(list, []);
  list.push(1);
  t.same(list, [1]);
  empty([]);
});
