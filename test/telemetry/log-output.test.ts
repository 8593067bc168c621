/** Lines wait for a reader that stalls, up to a bound; the rest is dropped, counted, and told of once the reader is back. */
import { PassThrough, Writable } from 'node:stream';
import t from 'tap';
import { LogOutput } from '../../src/telemetry/index.ts';

const LINE = `${'x'.repeat(99)}\n`;
const UNWRITTEN_MAX = 64 * 1024;

t.test('a stalled reader costs the bound and one word about the gap, each time', async (t) => {
  const stream = new PassThrough();
  const gaps: number[] = [];
  const output = new LogOutput({
    stream,
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
  const output = new LogOutput({ stream, onReaderBack: () => t.fail('nobody is back') });
  output.write(LINE);
  output.write(LINE);
  await new Promise((resolve) => stream.once('close', resolve));
  t.equal(output.dropped, 2);
});
