/** Lines wait for a reader that stalls, up to a bound; the rest is dropped, counted, and told of once the reader is back. */
import { PassThrough, Writable } from 'node:stream';
import { text as textOf } from 'node:stream/consumers';
import t from 'tap';
import { systemTimers } from '../../src/core/index.ts';
import { createLog, FieldName, LogOutput } from '../../src/telemetry/index.ts';
import { ManualClock } from '../helpers/manual-clock.ts';

const LINE = `${'x'.repeat(99)}\n`;
const UNWRITTEN_MAX = 64 * 1024;

t.test('a stalled reader costs the bound and one word about the gap, each time', async (t) => {
  const stream = new PassThrough();
  const gaps: number[] = [];
  const output = new LogOutput({
    stream,
    timers: systemTimers,
    unwrittenMax: UNWRITTEN_MAX,
    onReaderBack(dropped) {
      gaps.push(dropped);
      output.write(`dropped ${dropped}\n`);
    },
  });
  for (let round = 1; round <= 2; round++) {
    for (let i = 0; i < 5000; i++) output.write(LINE);
    t.ok(stream.writableLength <= UNWRITTEN_MAX + LINE.length, `${stream.writableLength} wait`);
    t.equal(gaps.length, round - 1, 'nothing is told while nobody reads');
    const before = output.dropped;
    let text = '';
    const isRead = new Promise<void>((resolve) =>
      stream.on('data', (chunk: Buffer) => {
        text += chunk.toString();
        if (text.endsWith('after\n')) resolve();
      }),
    );
    stream.once('drain', () => output.write('after\n')).resume();
    await isRead;
    const kept = text.split(LINE).length - 1;
    t.equal(kept + (gaps[round - 1] as number), 5000, 'each line is read or told of');
    t.equal(output.dropped, before, 'once the reader is back nothing is dropped');
    t.ok(text.endsWith(`dropped ${gaps[round - 1]}\nafter\n`), 'the word stands where the gap is');
    stream.pause().removeAllListeners('data');
  }
  t.equal(output.dropped, (gaps[0] as number) + (gaps[1] as number));
});

t.test('lines for a reader that is gone count as dropped', async (t) => {
  const stream = new Writable({ write: (_chunk, _encoding, done) => done(new Error('EPIPE')) });
  stream.on('error', () => {});
  const output = new LogOutput({ stream, timers: systemTimers, onReaderBack: () => t.fail('nobody is back') });
  output.write(LINE);
  output.write(LINE);
  await new Promise((resolve) => stream.once('close', resolve));
  t.equal(output.dropped, 2);
});

t.test('records of a moment are one write, in order with other lines, each behind the prefix', async (t) => {
  const writes: string[] = [];
  const stream = new Writable({
    write(chunk: Buffer, _encoding, done) {
      writes.push(chunk.toString());
      done();
    },
  });
  const timers = new ManualClock();
  const output = new LogOutput({
    stream,
    timers,
    prefix: '> ',
    onReaderBack: () => t.fail('nobody is back'),
  });
  const record = (line: string): void =>
    output.writeRecord(Buffer.from(`${line}\n and what was there before`), line.length + 1);
  for (const each of ['one', 'two']) record(each);
  timers.advance(99);
  t.same(writes, [], 'they wait for 100 ms');
  timers.advance(1);
  t.same(writes, ['> one\n> two\n']);
  record('three');
  output.write('four\n');
  t.same(writes.splice(0), ['> one\n> two\n', '> three\n> four\n'], 'a line that is no record waits for nothing');
  timers.advance(100);
  t.same(writes, [], 'and nothing is written twice');
  record('five');
  output.flush();
  t.same(writes.splice(0), ['> five\n'], 'the end of the process does not wait');
  const long = 'x'.repeat(100_000);
  for (const each of ['six', long, 'seven']) record(each);
  output.flush();
  t.equal(writes.splice(0).join(''), `> six\n> ${long}\n> seven\n`);
  record('eight');
  output.close();
  record('nine');
  t.same(writes, ['> eight\n', '> nine\n'], 'once closed, nothing waits for a time that may not come');
});

t.test('bytes that the stream has not written yet are not overwritten', async (t) => {
  const stream = new PassThrough({ highWaterMark: 1 });
  const timers = new ManualClock();
  const output = new LogOutput({ stream, timers, onReaderBack: () => t.fail('nobody is back') });
  const log = createLog({
    clock: { now: () => 0 as never, wallMs: () => 0 },
    level: 'info',
    write: (line) => output.write(line),
    writeRecord: (bytes, length) => output.writeRecord(bytes, length),
  });
  const record = log.record('info', 'seen');
  const AT = new FieldName('at');
  for (let i = 0; i < 100; i++) {
    record?.begin();
    record?.number(AT, i);
    record?.end();
    if (i % 10 === 9) timers.advance(100);
  }
  stream.end();
  const lines = (await textOf(stream)).trimEnd().split('\n');
  t.same(
    lines.map((line) => (JSON.parse(line) as { at: number }).at),
    Array.from({ length: 100 }, (_, i) => i),
  );
});

t.test('records that wait for a reader take the memory of their bytes, not of batches', async (t) => {
  const stream = new PassThrough();
  const output = new LogOutput({ stream, timers: systemTimers, unwrittenMax: 2 ** 20, onReaderBack: () => {} });
  const before = process.memoryUsage().arrayBuffers;
  const line = Buffer.from(`${'x'.repeat(399)}\n`);
  while (output.dropped === 0) {
    output.writeRecord(line, line.length);
    await systemTimers.yieldLoop();
  }
  t.ok(stream.writableLength + stream.readableLength > 2 ** 19, 'they wait');
  const growth = process.memoryUsage().arrayBuffers - before;
  t.ok(growth < 4 * 2 ** 20, `${growth} bytes for 1 MiB of lines`);
});
