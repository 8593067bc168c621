import t from 'tap';
import { AnonymousTable, prefixOf } from '../../src/identity/anonymous.ts';
import { ManualClock } from '../helpers/manual-clock.ts';

t.test('peers are one by their prefix', async (t) => {
  t.equal(prefixOf('10.1.2.3'), '10.1.2');
  t.equal(prefixOf('::ffff:10.1.2.3'), '10.1.2');
  t.equal(prefixOf('2001:db8:1:2:3:4:5:6'), '2001:db8:1:2');
  t.equal(prefixOf('2001:db8::1'), '2001:db8:0:0');
  t.equal(prefixOf('fe80::1%eth0'), 'fe80:0:0:0');
  t.equal(prefixOf('::1'), '0:0:0:0');
  t.equal(prefixOf(''), '', 'a socket that is gone has no address');
});

t.test('failures are charged by prefix, and who waits as long as told is within the rate again', async (t) => {
  const clock = new ManualClock();
  const table = new AnonymousTable(clock, { perSec: 10, burst: 2 });
  t.same([table.charge('1.1.1.1'), table.charge('1.1.1.2')], [0, 0]);
  const waitMs = table.charge('1.1.1.3');
  t.ok(waitMs > 0 && waitMs <= 100, `${waitMs}`);
  t.equal(table.charge('1.1.1.3'), waitMs, 'what is refused is not charged');
  t.equal(table.charge('1.1.2.1'), 0, 'another prefix');
  clock.advance(waitMs);
  t.equal(table.charge('1.1.1.1'), 0);
  t.equal(table.size, 2);
});

t.test('the table is bounded: the prefix that was seen longest ago leaves', async (t) => {
  const table = new AnonymousTable(new ManualClock(), { perSec: 0.001, burst: 1 });
  for (let i = 0; i < 5000; i++) table.charge(`10.${i >> 8}.${i & 255}.1`);
  t.equal(table.size, 4096);
  t.ok(table.charge('10.19.135.9') > 0, 'the newest is remembered');
  t.equal(table.charge('10.0.0.1'), 0, 'the oldest is not');
});
