/** Our member of `tracestate`: what is written is read, others stay, and whatever else stands there is as if it did not. */
import t from 'tap';
import { formatHop, OPERATION_MAX, operationOf, readHop, withHop } from '../../src/telemetry/index.ts';

t.test('what is written is read, wherever it stands in the list', async (t) => {
  for (const hop of [1, 9, 10, 99, 255]) {
    const said = { hop, operation: operationOf('orders', 'exports') };
    t.same(readHop([formatHop(said)]), said);
    t.same(readHop(['a=1, b@c=2', ` ${formatHop(said)}\t,,d=3`]), said);
  }
  t.equal(formatHop({ hop: 300, operation: 'a/b' }), 'reeve=255;a/b', 'what goes round in circles stays there');
  t.same(readHop([formatHop({ hop: 1, operation: operationOf('orders', undefined) })]), {
    hop: 1,
    operation: 'orders/',
  });
  const long = operationOf('s'.repeat(63), 'r'.repeat(63));
  t.equal(long.length, OPERATION_MAX);
  t.same(readHop([formatHop({ hop: 1, operation: long })]), { hop: 1, operation: long });
});

t.test('what nobody of ours writes is as if it were not there', async (t) => {
  for (const member of [
    ...['', 'a=1', 'reeve', 'reeve=', 'reeve=1', 'reeve=1;', 'reeve=1;orders', 'reeve=1;/list', 'reeve=0;a/b'],
    ...[
      'reeve=01;a/b',
      'reeve=256;a/b',
      'reeve=1000;a/b',
      'reeve=-1;a/b',
      'reeve=1;a/b;c',
      'reeve=1;A/b',
      'reeve=1;a/b/c',
    ],
    ...[
      'reeve=1;-a/b',
      'reeve=1;a/b-',
      'reeve=1;a b/c',
      'reeve=1;a\u00e9/b',
      'REEVE=1;a/b',
      'xreeve=1;a/b',
      'reeve@x=1;a/b',
    ],
    ...[`reeve=1;${'s'.repeat(64)}/b`, `reeve=1;a/${'r'.repeat(64)}`, 'reeve=1;a/b\nx', 'reeve=1;a/b,reeve=1;a/b'],
  ])
    t.equal(readHop([member]), undefined, JSON.stringify(member));
  t.equal(readHop(['reeve=1;a/b', 'reeve=2;a/b']), undefined, 'two say nothing');
});

t.test('ours is in front, the others stay in their order, and the list has an end', async (t) => {
  const ours = formatHop({ hop: 2, operation: 'orders/list' });
  t.equal(withHop([], ours), ours);
  t.equal(withHop(['b=2 ,a=1', 'reeve=1;orders/list, c=3'], ours), `${ours},b=2,a=1,c=3`);
  const many = Array.from({ length: 40 }, (_, i) => `k${i}=${i}`);
  const list = withHop([many.join(',')], ours).split(',');
  t.same(list, [ours, ...many.slice(0, 31)]);
  const wide = [`a=${'x'.repeat(200)}`, `b=${'x'.repeat(100)}`, `c=${'x'.repeat(100)}`, `d=${'x'.repeat(100)}`, 'e=1'];
  t.same(withHop(wide, ours).split(','), [ours, wide[1], wide[2], wide[3], 'e=1'], 'the widest go first');
  const tall = Array.from({ length: 6 }, (_, i) => `k${i}=${'y'.repeat(100)}`);
  const cut = withHop(tall, ours);
  t.ok(cut.length <= 512, `${cut.length}`);
  t.same(cut.split(','), [ours, ...tall.slice(0, 4)], 'then the last');
  const exact = `k=${'z'.repeat(512 - ours.length - 3)}`;
  t.equal(withHop([exact], ours).length, 512);
  t.equal(withHop([`${exact}z`], ours), ours);
});
