import t from 'tap';
import { systemTimers } from '../../src/core/index.ts';
import {
  childOf,
  createLog,
  createMetrics,
  FieldName,
  formatTraceparent,
  type Metrics,
  newTrace,
  parseTraceparent,
  silentLog,
  traceIdOf,
} from '../../src/telemetry/index.ts';
import { lateLoop } from '../helpers/late-loop.ts';
import { ManualClock } from '../helpers/manual-clock.ts';

t.test('a log line is one JSON object, bounded, and holds no secret', async (t) => {
  const lines: string[] = [];
  const log = createLog({
    clock: new ManualClock(),
    level: 'info',
    write: (line) => void lines.push(line),
    base: { app: 'a' },
  });
  const cyclic: Record<string, unknown> = { a: 1n, f: () => {}, u: undefined, n: Number.NaN, e: new TypeError('bad') };
  cyclic['self'] = cyclic;
  log.debug('hidden');
  log.info('one');
  log.warn('two', {
    authorization: 'canary',
    nested: { apiKey: 'canary', deep: cyclic },
    list: Array(100).fill(1),
    long: 'x'.repeat(5000),
    ok: true,
    nothing: null,
  });
  log.error('three', cyclic);
  silentLog.debug('x');
  silentLog.info('x');
  silentLog.warn('x');
  silentLog.error('x');
  t.equal(lines.length, 3);
  t.notMatch(lines.join(), /canary/);
  const [, two] = lines.map((line) => JSON.parse(line) as Record<string, never>);
  t.match(two, { severity: 'warn', event: 'two', app: 'a', authorization: '[redacted]', ok: true });
  t.ok((lines[1] as string).length < 8000);
});

t.test('a record is the line that JSON.stringify would write, whatever its fields hold', (t) => {
  const clock = new ManualClock();
  const lines: string[] = [];
  const log = createLog({
    clock,
    level: 'info',
    write: (line) => void lines.push(line),
    base: { 'service.name': 'ä"b' },
  });
  const record = log.record('warn', 'seen');
  const [TEXT, NUMBER] = [new FieldName('a text'), new FieldName('number')];
  const texts = [
    '',
    'plain',
    'quote " backslash \\ slash /',
    'line\nend\u0000\u001f\u007f',
    'ünïcödé ☃ 🎉',
    '\ud800 alone',
    '"'.repeat(2048),
    undefined,
  ];
  const numbers = [
    ...[0, 7, 10, 999, 1000, 123_456_789, 2 ** 31, 2 ** 46, 368_763_607_050_185, 2 ** 53, 1e21, -3, -0.005, undefined],
    ...[1.5, 1.005, 0.004, 0.005, 0.05, 0.5, 99.994, 99.995, 99.999, 7.1, 12.34, 2 ** 45 + 0.25],
  ];
  for (let i = 0; i < Math.max(texts.length, numbers.length); i++) {
    clock.advance(i * 333);
    const [text, number] = [texts[i], numbers[i]];
    record?.begin();
    record?.text(TEXT, text);
    record?.number(NUMBER, number);
    record?.end();
    const expected = {
      timestamp: new Date(clock.wallMs()).toISOString(),
      severity: 'warn',
      event: 'seen',
      'service.name': 'ä"b',
      'a text': text,
      number: number === undefined || Number.isSafeInteger(number) ? number : Math.round(number * 100) / 100,
    };
    t.equal(lines.at(-1), `${JSON.stringify(expected)}\n`);
  }
  record?.begin();
  record?.text(TEXT, 'x'.repeat(2049));
  record?.end();
  t.equal((JSON.parse(lines.at(-1) as string) as Record<string, string>)['a text'], `${'x'.repeat(2048)}…`);
  record?.begin(1000);
  record?.plain(TEXT, 'a1.b-c');
  const from = record?.length ?? 0;
  record?.text(new FieldName('b'), 'ü"');
  record?.number(NUMBER, 2);
  const fields = record?.since(from) as Buffer;
  record?.end();
  const line = lines.at(-1) as string;
  t.same(JSON.parse(line), { ...JSON.parse(line), timestamp: '1970-01-01T00:00:01.000Z', 'a text': 'a1.b-c', b: 'ü"' });
  record?.begin(2000);
  record?.again(fields);
  record?.end();
  t.ok(lines.at(-1)?.endsWith(',"b":"ü\\"","number":2}\n'), 'fields of another line');
  t.equal(createLog({ clock, level: 'error', write: () => {} }).record('warn', 'seen'), undefined, 'not of this level');
  t.equal(silentLog.record('error', 'seen'), undefined);
  t.end();
});

t.test('trace context by the standard', async (t) => {
  const good = `00-${'a'.repeat(32)}-${'b'.repeat(16)}-01`;
  t.match(parseTraceparent(good), { traceId: 'a'.repeat(32), flags: '01' });
  t.ok(parseTraceparent(`cc-${good.slice(3)}-more`), 'a later version');
  for (const bad of [
    '',
    good.toUpperCase(),
    `ff-${good.slice(3)}`,
    `${good}-more`,
    `00-${'0'.repeat(32)}-${'b'.repeat(16)}-01`,
    `00-${'a'.repeat(32)}-${'0'.repeat(16)}-01`,
  ])
    t.same([parseTraceparent(bad), traceIdOf(bad)], [undefined, undefined], bad);
  t.equal(traceIdOf(good), 'a'.repeat(32));
  t.equal(traceIdOf(undefined), undefined);
  const random = { hex: (bytes: number) => 'c'.repeat(bytes * 2), float: () => 0 };
  const trace = newTrace(random);
  t.equal(formatTraceparent(childOf({ ...trace, flags: '01' }, random)), `00-${'c'.repeat(32)}-${'c'.repeat(16)}-01`);
});

t.test('OpenMetrics: counters by their families, exemplars, an end', async (t) => {
  const metrics = createMetrics({ timers: systemTimers });
  metrics.counter({ name: 'reeve_a_total', help: 'A.' }).add(3);
  const exemplar = { labels: { trace_id: 'c0ffee', tenant: 'a"b' }, value: 0.5, wallMs: 1500 };
  metrics.collectedHistogram({
    name: 'reeve_b_seconds',
    help: 'B.',
    labels: ['n'],
    buckets: [1],
    collect: (emit) => emit(['z'], Float64Array.of(1, 2), 5, [exemplar, undefined]),
  });
  const read = async (form: 'text' | 'openmetrics'): Promise<string> => {
    let text = '';
    for await (const chunk of metrics.exposition(form)) text += chunk;
    return text;
  };
  const text = await read('openmetrics');
  for (const line of [
    '# TYPE reeve_a counter',
    'reeve_a_total 3',
    'reeve_b_seconds_bucket{n="z",le="1"} 1 # {trace_id="c0ffee",tenant="a\\"b"} 0.5 1.5',
    'reeve_b_seconds_bucket{n="z",le="+Inf"} 3',
    '# TYPE reeve_process_cpu_seconds counter',
  ])
    t.ok(text.includes(`${line}\n`), line);
  t.match(text, /^reeve_process_cpu_seconds_total \d/m);
  t.notMatch(text, /^# \w+ \w+_total /m);
  t.ok(text.endsWith('\n# EOF\n'));
  t.notMatch(text, /\n\n/, 'it knows no blank line');
  const plain = await read('text');
  t.notMatch(plain, /EOF|c0ffee/);
  t.match(plain, /^# TYPE reeve_a_total counter$/m);
});

t.test('metrics are read when asked, in the text format, with labels escaped', async (t) => {
  const metrics = createMetrics({ timers: systemTimers });
  const counter = metrics.counter({ name: 'reeve_a_total', help: 'A.' });
  counter.add();
  counter.add(2);
  const hot = metrics.counters({ name: 'reeve_b_total', help: 'B.', labels: { x: ['1', '2'], y: ['a', 'b"\\\n'] } });
  hot.add(hot.index('2', 'b"\\\n'));
  t.equal(hot.value(hot.index('2', 'b"\\\n')), 1);
  t.throws(() => hot.index('3', 'a'), RangeError);
  const histogram = metrics.histogram({ name: 'reeve_c_seconds', help: 'C.', buckets: [1, 2] });
  for (const value of [0.5, 1, 1.5, 9]) histogram.observe(value);
  const labelled = metrics.histogram({ name: 'reeve_d_seconds', help: 'D.', buckets: [1], labels: { p: ['x', 'y'] } });
  labelled.observe(1, labelled.index('y'));
  metrics.gauge({ name: 'reeve_e', help: 'E.', read: () => 7 });
  metrics.collected({
    name: 'reeve_f',
    help: 'F.',
    type: 'gauge',
    labels: ['n'],
    collect: (emit) => Array.from({ length: 450 }, (_, i) => emit([String(i)], i)),
  });
  metrics.collectedHistogram({
    name: 'reeve_g_seconds',
    help: 'G.',
    labels: ['n'],
    buckets: [1],
    collect: (emit) => emit(['z'], Float64Array.of(1, 2), 5),
  });
  t.throws(() => metrics.counter({ name: 'reeve_a_total', help: 'again' }));
  t.throws(() => metrics.counter({ name: 'Bad', help: 'x' }));
  let text = '';
  for await (const chunk of metrics.exposition()) text += chunk;
  for (const line of [
    '# TYPE reeve_a_total counter',
    'reeve_a_total 3',
    'reeve_b_total{x="2",y="b\\"\\\\\\n"} 1',
    'reeve_c_seconds_bucket{le="1"} 2',
    'reeve_c_seconds_bucket{le="+Inf"} 4',
    'reeve_c_seconds_sum 12',
    'reeve_d_seconds_count{p="y"} 1',
    'reeve_e 7',
    'reeve_f{n="449"} 449',
    'reeve_g_seconds_bucket{n="z",le="+Inf"} 3',
  ])
    t.ok(text.includes(`${line}\n`), line);
  t.notMatch(text, /reeve_d_seconds_count\{p="x"\}/);
  t.match(text, /reeve_process_cpu_seconds_total/);
  t.match(metrics.rows()[0], { name: 'reeve_a_total', type: 'counter', labels: [] });
});

t.test('how late the loop was is told for the last minute, and not where nobody measures it', async (t) => {
  const { clock, lag, turn } = lateLoop();
  const metrics = createMetrics({ timers: clock, lag });
  const read = async (from: Metrics): Promise<string> => {
    let text = '';
    for await (const chunk of from.exposition()) text += chunk;
    return text;
  };
  t.match(await read(metrics), /^reeve_nodejs_eventloop_lag_max_seconds 0$/m, 'nothing yet');
  for (const ms of [100, 150, 100, 180]) turn(ms);
  const text = await read(metrics);
  for (const [name, value] of [
    ['min', '0'],
    ['max', '0.08'],
    ['mean', '0.0325'],
    ['p50', '0.05'],
    ['p90', '0.08'],
    ['p99', '0.08'],
  ] as const)
    t.match(text, new RegExp(`^reeve_nodejs_eventloop_lag_${name}_seconds ${value}$`, 'm'));
  t.match(text, /^reeve_nodejs_eventloop_lag_stddev_seconds 0\.034/m);
  t.notMatch(await read(createMetrics({ timers: clock })), /eventloop_lag_(min|max|mean|stddev|p50|p90|p99)_/);
});
