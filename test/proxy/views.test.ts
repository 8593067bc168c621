/** Views that are kept show the bytes of now, of the buffer that is asked for, in the length that is asked for. */
import t from 'tap';
import { Views } from '../../src/proxy/fast/views.ts';

t.test('a view is kept, and shows what stands there now', async (t) => {
  const views = new Views();
  const bytes = Buffer.from('a head of one tenant');
  const view = views.of(bytes, 6);
  t.equal(view.toString(), 'a head');
  bytes.write('b');
  t.equal(views.of(bytes, 6), view);
  t.equal(view.toString(), 'b head');
});

t.test('every length is its own, however many there are', async (t) => {
  const views = new Views();
  const bytes = Buffer.alloc(100);
  for (let round = 0; round < 2; round++)
    for (let length = 0; length <= 100; length++) t.equal(views.of(bytes, length).length, length);
});

t.test('a buffer that took the place of another is seen, not the other', async (t) => {
  const views = new Views();
  t.equal(views.of(Buffer.from('first'), 5).toString(), 'first');
  t.equal(views.of(Buffer.from('other'), 5).toString(), 'other');
});
