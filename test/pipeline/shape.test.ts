import { setFlagsFromString } from 'node:v8';
import { runInThisContext } from 'node:vm';
import t from 'tap';
import { aborted, type Exchange, forwarded, kept, type Outcome, replied } from '../../src/pipeline/index.ts';
import { exchangeForTest } from './exchange-for-test.ts';

setFlagsFromString('--allow-natives-syntax');
const haveSameMap = runInThisContext('(a, b) => %HaveSameMap(a, b)') as (
  a: Exchange | Outcome,
  b: Exchange | Outcome,
) => boolean;

t.test('all exchanges share one hidden class, before and after their slots are filled', async (t) => {
  const fresh = exchangeForTest();
  const filled = exchangeForTest({ method: 'POST', host: 'b.example' });
  filled.sanitised = true;
  filled.source = 'jwt';
  filled.grant = { decision: 'pass', useDegradedRoute: false, isShadowed: false };
  filled.endpoint = { name: 'application', address: 'http://127.0.0.1:1' };
  filled.inject('x-tenant-degrade', '1');
  filled.entered = 3;
  filled.older = fresh;
  filled.newer = fresh;
  filled.hop = 2;
  filled.operation = 'shop/list';
  filled.status = 200;
  t.ok(haveSameMap(fresh, filled));
  t.same(Object.keys(fresh), Object.keys(filled));
});

t.test('an exchange that is abandoned leaves the line it waits in', async (t) => {
  const waiting = exchangeForTest();
  let left = 0;
  waiting.leave = () => void left++;
  waiting.abandon();
  t.equal(left, 1);
  t.ok(waiting.isAbandoned);
  const passing = exchangeForTest();
  passing.abandon();
  t.ok(passing.isAbandoned);
});

t.test('a slot added later would be noticed', async (t) => {
  const odd = exchangeForTest() as Exchange & { extra?: number };
  odd.extra = 1;
  t.notOk(haveSameMap(exchangeForTest(), odd));
});

t.test('all outcomes share one hidden class, and a status that comes again is the same one', async (t) => {
  const reply = { code: 'not-ready', detail: 'x' } as const;
  const [whole, rest] = [forwarded(200), [kept(304), replied('chain', reply, 503, 7), aborted('client', undefined)]];
  for (const each of rest) t.ok(haveSameMap(whole, each), each.kind);
  t.equal(forwarded(200), whole);
  t.not(forwarded(201), whole);
  t.match(rest, [
    { kind: 'kept', status: 304 },
    { kind: 'replied', by: 'chain', reply, status: 503, contentBytes: 7 },
    { kind: 'aborted', side: 'client' },
  ]);
});
