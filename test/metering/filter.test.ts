/** What the stage writes down of each way a request can end, and when it refuses. */
import t from 'tap';
import type { MonotonicMs } from '../../src/core/index.ts';
import { meteringStage, reportedRecord } from '../../src/metering/filter.ts';
import type { UsageRecord } from '../../src/metering/usage-record.ts';
import type { Decision, Exchange, Identified, Outcome, ReplyCode } from '../../src/pipeline/index.ts';
import type { Route, Tenant } from '../../src/tenants/index.ts';
import { HeaderList } from '../../src/wire/index.ts';
import { exchangeForTest } from '../pipeline/exchange-for-test.ts';
import { VirtualTime } from './world.ts';

function filterWorld(traceIds = false) {
  const time = new VirtualTime();
  const records: UsageRecord[] = [];
  const world = { isRefusing: false };
  const { filter, recordParts } = meteringStage({
    clock: time,
    record: (record) => records.push({ ...record }),
    isRefusing: () => world.isRefusing,
    traceIds,
    partEveryMs: 60_000,
  });
  const exchange = (method = 'GET', route?: Partial<Route>): Identified => {
    const x = exchangeForTest({ method, acceptedAt: time.now(), route: route as Route | undefined });
    x.tenant = { id: 'acme' } as Tenant;
    return x as Identified;
  };
  const end = (x: Exchange, outcome: Outcome): UsageRecord => {
    filter.onDone?.(x as Identified, outcome);
    return records.at(-1) as UsageRecord;
  };
  return { time, records, world, filter, exchange, end, recordParts };
}

const forwarded = (status = 200): Outcome => ({ kind: 'forwarded', status });
const replied = (code: ReplyCode, status: number): Outcome => ({
  kind: 'replied',
  by: 'stage',
  reply: { code, detail: '' },
  status,
  contentBytes: 0,
});

t.test('a request that was served: its names, bytes and times', async (t) => {
  const { time, exchange, end } = filterWorld();
  const x = exchange('POST', { name: 'orders' });
  x.requestBytes = 10;
  x.responseBytes = 2000;
  time.advance(5);
  x.sentAt = time.now();
  time.advance(7);
  x.headAt = time.now() + 0.4321;
  time.advance(2);
  x.endpoint = { name: 'payments', address: '' };
  x.usage = [{ meter: 'tokens', units: 3 }];
  x.traceId = 'ab'.repeat(16);
  t.strictSame(end(x, forwarded(201)), {
    wallMs: time.wall,
    ...{ tenant: 'acme', route: 'orders', upstream: 'payments', outcome: 'ok', methodClass: 'write', statusClass: 2 },
    ...{ operation: '', hop: 0, isPart: false },
    ...{ bytesIn: 10, bytesOut: 2000, durationUs: 14_000, upstreamUs: 7432, traceId: '' },
    units: [{ meter: 'tokens', units: 3 }],
  });
});

t.test('the application beside the sidecar, no route, no answer, an answer before the request was whole', async (t) => {
  const { time, exchange, end } = filterWorld();
  const x = exchange();
  x.endpoint = { name: 'application', address: '' };
  t.match(end(x, forwarded()), { route: '', upstream: '', durationUs: 0, upstreamUs: 0, units: [] });
  x.headAt = time.now();
  x.sentAt = time.now() + 1;
  t.equal(end(x, forwarded()).upstreamUs, 0);
  t.equal(end({ ...x, acceptedAt: (time.now() + 1) as MonotonicMs } as Identified, forwarded()).durationUs, 0);
});

t.test('what became of it', async (t) => {
  const { exchange, end } = filterWorld();
  const outcomeOf = (outcome: Outcome, decision?: Decision): string => {
    const x = exchange();
    if (decision !== undefined) x.grant = { decision, useDegradedRoute: false, isShadowed: false };
    const { outcome: is, statusClass } = end(x, outcome);
    return `${is} ${statusClass}`;
  };
  for (const decision of ['pass', 'notice', 'credit', 'deprioritize'] as const)
    t.equal(outcomeOf(forwarded(), decision), 'ok 2');
  t.equal(outcomeOf(forwarded(), 'shape'), 'shaped 2');
  t.equal(outcomeOf(forwarded(), 'degrade'), 'degraded 2');
  t.equal(outcomeOf(forwarded(), 'stale'), 'degraded 2');
  t.equal(outcomeOf({ kind: 'kept', status: 200 }, 'stale'), 'degraded 2');
  t.equal(outcomeOf(forwarded(500), 'pass'), 'ok 5');
  t.equal(outcomeOf(forwarded(999), 'pass'), 'ok 5');
  t.equal(outcomeOf(replied('quota-exceeded', 429)), 'denied 4');
  t.equal(outcomeOf(replied('body-too-large', 413), 'pass'), 'denied 4');
  t.equal(outcomeOf(replied('temporary-reduced-capacity', 503), 'pass'), 'denied 5');
  t.equal(outcomeOf(replied('upstream-unreachable', 502), 'pass'), 'failed 5');
  t.equal(outcomeOf(replied('stage-failed', 500)), 'failed 5');
  t.equal(outcomeOf({ kind: 'aborted', side: 'client', status: undefined }, 'pass'), 'aborted 0');
  t.equal(outcomeOf({ kind: 'aborted', side: 'upstream', status: 200 }, 'pass'), 'aborted 2');
});

t.test('classes of methods', async (t) => {
  const { exchange, end } = filterWorld();
  const classes = ['GET', 'HEAD', 'OPTIONS', 'POST', 'PUT', 'PATCH', 'DELETE', 'PURGE'].map(
    (method) => end(exchange(method), forwarded()).methodClass,
  );
  t.strictSame(classes, ['read', 'read', 'read', 'write', 'write', 'write', 'write', 'other']);
});

t.test('where it began: as the sidecar before it said, within the mesh and in a sound trace', async (t) => {
  const { filter, end } = filterWorld();
  const traceparent = `00-${'a'.repeat(32)}-${'b'.repeat(16)}-01`;
  const record = (trustClass: 'edge' | 'mesh', fields: string[]): UsageRecord => {
    const x = exchangeForTest({ trustClass, headers: new HeaderList(fields) });
    x.tenant = { id: 'acme' } as Tenant;
    filter.onRequest?.(x as Identified);
    return end(x, forwarded());
  };
  const state = ['tracestate', 'a=1,reeve=2;shop/list'];
  const none = { hop: 0, operation: '' };
  t.match(record('mesh', ['traceparent', traceparent, ...state]), { hop: 2, operation: 'shop/list' });
  t.match(record('edge', ['traceparent', traceparent, ...state]), none);
  t.match(record('mesh', state), none);
  t.match(record('mesh', ['traceparent', 'x', ...state]), none);
  t.match(record('mesh', ['traceparent', traceparent, 'traceparent', traceparent, ...state]), none);
  t.match(record('mesh', ['traceparent', traceparent]), none);
  t.match(record('mesh', ['traceparent', traceparent, 'tracestate', 'reeve=2;shop']), none);
});

t.test('of operations whose names others choose only so many are told apart', async (t) => {
  const { end, exchange } = filterWorld();
  const began = (operation: string): string =>
    end(Object.assign(exchange(), { hop: 1, operation }), forwarded()).operation;
  for (let i = 0; i < 4096; i++) if (began(`shop/r${i}`) !== `shop/r${i}`) t.fail(`${i}`);
  t.equal(began('shop/one-more'), '__other__');
  t.equal(began('shop/r5'), 'shop/r5');
});

t.test('trace ids where they are asked for', async (t) => {
  const { exchange, end } = filterWorld(true);
  const x = exchange();
  t.equal(end(x, forwarded()).traceId, '');
  x.traceId = 'cd'.repeat(16);
  t.equal(end(x, forwarded()).traceId, 'cd'.repeat(16));
});

t.test('while nothing can be recorded, and that is the policy, all but critical routes are refused', async (t) => {
  const { world, filter, exchange, end } = filterWorld();
  t.equal(filter.onRequest?.(exchange()), undefined);
  world.isRefusing = true;
  t.match(filter.onRequest?.(exchange()), { code: 'temporary-reduced-capacity', retryAfterMs: 1000 });
  t.match(filter.onRequest?.(exchange('GET', { isCritical: false })), { code: 'temporary-reduced-capacity' });
  t.equal(filter.onRequest?.(exchange('GET', { isCritical: true })), undefined);
  t.equal(end(exchange(), replied('temporary-reduced-capacity', 503)).outcome, 'denied');
});

t.test('what an application reports by itself', async (t) => {
  const units = Array.from({ length: 20 }, (_, i) => ({ meter: `m${i}`, units: i }));
  t.match(reportedRecord(5, 'acme', units), {
    wallMs: 5,
    tenant: 'acme',
    outcome: 'reported',
    methodClass: 'other',
    statusClass: 0,
  });
  t.equal(reportedRecord(5, 'acme', units).units.length, 16);
});

t.test('what is not over is recorded in part, and then the rest: no byte, time or unit twice', async (t) => {
  const { time, records, filter, exchange, end, recordParts } = filterWorld();
  const x = exchange('POST', { name: 'exports' });
  filter.onRequest?.(x);
  x.requestBytes = 5;
  time.advance(59_999);
  recordParts();
  t.same(records, [], 'not yet');
  time.advance(1);
  x.requestBytes = 100;
  recordParts();
  t.match(records, [
    { wallMs: time.wall, isPart: true, tenant: 'acme', route: 'exports', outcome: 'ok', methodClass: 'write' },
  ]);
  t.match(records[0], { statusClass: 0, bytesIn: 100, bytesOut: 0, durationUs: 60_000_000, upstreamUs: 0 });
  recordParts();
  t.equal(records.length, 1, 'again only when it is due again');
  // It is answered.
  x.sentAt = time.now();
  time.advance(10_000);
  x.headAt = time.now();
  x.status = 200;
  x.usage = [{ meter: 'tokens', units: 3 }];
  x.grant = { decision: 'shape', useDegradedRoute: false, isShadowed: false };
  x.responseBytes = 7;
  time.advance(50_000);
  recordParts();
  t.match(records[1], {
    ...{ isPart: true, outcome: 'shaped', statusClass: 2, bytesIn: 0, bytesOut: 7 },
    ...{ durationUs: 60_000_000, upstreamUs: 10_000_000, units: [{ meter: 'tokens', units: 3 }] },
  });
  x.responseBytes = 8;
  time.advance(60_000);
  recordParts();
  t.match(records[2], { isPart: true, bytesIn: 0, bytesOut: 1, upstreamUs: 0, units: [] });
  x.responseBytes = 20;
  time.advance(1);
  t.match(end(x, forwarded(200)), {
    ...{ isPart: false, outcome: 'shaped', statusClass: 2, bytesIn: 0, bytesOut: 12 },
    ...{ durationUs: 1000, upstreamUs: 0, units: [] },
  });
  time.advance(120_000);
  recordParts();
  t.equal(records.length, 4, 'and then never again');
});

t.test('each is due by its own last record; what ended in between is none of them', async (t) => {
  const { time, records, filter, exchange, end, recordParts } = filterWorld();
  const begin = (name: string): Identified => {
    const x = exchange('GET', { name });
    filter.onRequest?.(x);
    return x;
  };
  const seen = (): string[] => records.splice(0).map(({ route, isPart }) => `${route}${isPart ? '…' : ''}`);
  const [a, b] = [begin('a'), begin('b')];
  time.advance(30_000);
  const [c, d] = [begin('c'), begin('d')];
  time.advance(30_000);
  recordParts();
  t.same(seen(), ['a…', 'b…']);
  end(c, forwarded());
  end(a, forwarded());
  time.advance(30_000);
  recordParts();
  t.same(seen(), ['c', 'a', 'd…']);
  time.advance(30_000);
  recordParts();
  t.same(seen(), ['b…']);
  end(d, forwarded());
  end(b, forwarded());
  time.advance(60_000);
  recordParts();
  t.same(seen(), ['d', 'b']);
  for (const x of [a, b, c, d]) t.match(x, { older: undefined, newer: undefined }, 'nobody is held by who is over');
  for (let i = 0; i < 2500; i++) begin('many');
  time.advance(60_000);
  recordParts();
  t.equal(seen().length, 2000, 'no look holds the loop for long');
  recordParts();
  t.equal(seen().length, 500);
});
