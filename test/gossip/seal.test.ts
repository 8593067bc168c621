/** Sealed frames: who can make them, and that they count once. */
import fc from 'fast-check';
import t from 'tap';
import { SimProcess, SimTime } from '../../sim/time.ts';
import { Keyring } from '../../src/gossip/index.ts';
import { ReplayWindow } from '../../src/gossip/replay-window.ts';
import { type Refusal, Seal, VERSION } from '../../src/gossip/seal.ts';

const KEY = Buffer.alloc(32, 1);
const A = 'aaaaaaaaaaaaaaaa';
const B = 'bbbbbbbbbbbbbbbb';

interface End {
  readonly seal: Seal;
  readonly refused: Refusal[];
  readonly keyring: Keyring | undefined;
}

function end(
  incarnation: string,
  { time = new SimTime(), keys = [KEY] as readonly Buffer[] | undefined, cluster = 'c', known = [] as string[] } = {},
): End {
  const refused: Refusal[] = [];
  const keyring = keys === undefined ? undefined : new Keyring(keys);
  const seal = new Seal({
    clock: new SimProcess(time),
    cluster,
    incarnation,
    keyring,
    addressOf: (of) => (known.includes(of) ? 'there:1' : undefined),
    onRefused: (reason) => refused.push(reason),
  });
  return { seal, refused, keyring };
}

const text = Buffer.from('hello');

t.test('a frame is opened once, by who has key and cluster', async (t) => {
  for (const keys of [[KEY], undefined]) {
    const a = end(A, { keys });
    const b = end(B, { keys });
    const frame = a.seal.seal(text);
    t.same(b.seal.openDatagram(frame, 'there:1'), { incarnation: A, payload: text });
    t.equal(b.seal.openDatagram(frame, 'there:1'), undefined);
    t.equal(a.seal.openDatagram(frame, 'there:1'), undefined);
    t.equal(b.seal.openDatagram(Buffer.alloc(10), 'there:1'), undefined);
    t.equal(b.seal.openDatagram(Buffer.alloc(1201), 'there:1'), undefined);
    const other = Buffer.from(a.seal.seal(text));
    other[0] = 9;
    t.equal(b.seal.openDatagram(other, 'there:1'), undefined);
    t.same(b.refused, ['replayed', 'size', 'size', 'version']);
    t.same(a.refused, ['own']);
    const foreign = end(B, { keys, cluster: 'd' });
    t.equal(foreign.seal.openDatagram(a.seal.seal(text), 'there:1'), undefined);
    t.same(foreign.refused, ['forged']);
    t.equal(a.seal.openRequest(a.seal.seal(text))?.incarnation, A, 'over a stream we may meet ourselves');
  }
});

t.test('a frame of another version is refused as that, whatever else is right with it', async (t) => {
  const [a, b] = [end(A), end(B, { known: [A] })];
  const frame = a.seal.seal(text);
  t.equal(frame[0], VERSION);
  t.ok(VERSION > 1, 'streams of version 1 have one lane of rows');
  const older = Buffer.from(frame);
  older[0] = 1;
  t.equal(b.seal.openDatagram(older, 'there:1'), undefined);
  t.equal(b.seal.openRequest(older), undefined);
  t.equal(b.seal.openAnswer(older, b.seal.seal(text)), undefined);
  t.same(b.refused, ['version', 'version', 'version']);
  t.equal(b.seal.openRequest(frame)?.incarnation, A, 'none of them counts as seen');
});

t.test('every bit of a frame counts', async (t) => {
  const a = end(A);
  const frame = a.seal.seal(text);
  for (let bit = 0; bit < frame.length * 8; bit++) {
    const b = end(B, { known: [A] });
    const wrong = Buffer.from(frame);
    wrong[bit >> 3] = (wrong[bit >> 3] as number) ^ (1 << (bit & 7));
    t.equal(b.seal.openDatagram(wrong, 'there:1'), undefined);
  }
});

t.test('an answer opens only as the answer to its request', async (t) => {
  const [a, b] = [end(A), end(B)];
  const [first, second] = [a.seal.seal(text), a.seal.seal(text)];
  t.equal(`${b.seal.openRequest(first)?.payload}`, 'hello');
  const answer = b.seal.seal(Buffer.from('you'), first);
  t.equal(a.seal.openAnswer(answer, second), undefined);
  t.equal(a.seal.openRequest(answer), undefined);
  t.equal(`${a.seal.openAnswer(answer, first)?.payload}`, 'you');
  t.equal(a.seal.openAnswer(answer, first), undefined);
  t.equal(a.seal.openAnswer(Buffer.alloc(2 ** 20 + 1), first), undefined);
  t.equal(a.seal.openAnswer(Buffer.alloc(5), first), undefined);
  t.same(a.refused, ['forged', 'forged', 'replayed', 'size', 'size']);
});

t.test('keys: the first seals, all open; two of one id are both tried; the wrong ones are refused', async (t) => {
  // Found by search: keys whose hashes begin with one byte.
  const keys = Array.from({ length: 600 }, (_, i) => Buffer.alloc(32, `${i}-`));
  const ring = (key: Buffer): Keyring => new Keyring([key]);
  const id = ring(KEY).first.id;
  const twin = keys.find((key) => ring(key).first.id === id) as Buffer;
  const b = end(B, { keys: [twin, KEY] });
  t.equal(`${b.seal.openDatagram(end(A).seal.seal(text), '')?.payload}`, 'hello');
  const stranger = keys.find((key) => ring(key).first.id !== id) as Buffer;
  t.equal(b.seal.openDatagram(end(A, { keys: [stranger] }).seal.seal(text), ''), undefined);
  t.same(b.refused, ['key']);
  b.keyring?.use([KEY]);
  t.equal(b.keyring?.of(id).length, 1);
  t.throws(() => ring(Buffer.alloc(16)), { message: 'a key has 32 bytes, got one of 16' });
  const turned = new Keyring([KEY]);
  t.equal(turned.use([KEY]), false, 'the same keys');
  t.equal(turned.use([KEY, Buffer.alloc(32, 9)]), true, 'one more');
  t.equal(turned.use([Buffer.alloc(32, 9), KEY]), true, 'another order');
  t.throws(() => new Keyring([]), RangeError);
  t.throws(() => new Keyring(Array(9).fill(KEY)), { message: 'a keyring has 1 to 8 keys, got 9' });
});

t.test('what fails to open is bounded a second, and does not shut members out', async (t) => {
  const time = new SimTime();
  const a = end(A);
  const b = end(B, { time, known: [A] });
  const forged = (i: number): Buffer => {
    const frame = a.seal.seal(text);
    frame[frame.length - 1] = (frame[frame.length - 1] as number) ^ (1 + (i % 255));
    return frame;
  };
  const count = (reason: Refusal): number => b.refused.filter((each) => each === reason).length;
  for (let i = 0; i < 5000; i++) b.seal.openDatagram(forged(i), 'elsewhere:1');
  t.equal(count('forged'), 1000, 'from elsewhere: half the budget');
  t.ok(b.seal.openDatagram(a.seal.seal(text), 'there:1'), 'a member is still heard');
  for (let i = 0; i < 5000; i++) b.seal.openDatagram(forged(i), 'there:1');
  t.equal(count('forged'), 2000);
  t.equal(b.seal.openRequest(forged(1)), undefined);
  t.equal(count('throttled'), 5000 + 5000 + 1 - 2000);
  time.run(1000);
  t.ok(b.seal.openDatagram(a.seal.seal(text), 'there:1'));

  const strangers = end(B);
  for (let i = 0; i < 100; i++) {
    const incarnation = i.toString(16).padStart(16, '0');
    strangers.seal.openDatagram(end(incarnation).seal.seal(text), 'there:1');
  }
  t.equal(strangers.refused.filter((each) => each === 'unknown').length, 80, '20 strangers a second');
});

t.test('the replay window is a set of the newest 1,024 numbers', async (t) => {
  fc.assert(
    fc.property(
      fc.array(fc.oneof(fc.integer({ min: 1, max: 3000 }), fc.integer({ min: 1, max: 1e9 })), { maxLength: 300 }),
      (numbers) => {
        const window = new ReplayWindow();
        const seen = new Set<number>();
        let highest = 0;
        for (const each of numbers) {
          const isFresh = each > highest - 1024 && !seen.has(each);
          if (window.isFresh(each) !== isFresh) return false;
          if (!isFresh) continue;
          window.mark(each);
          seen.add(each);
          highest = Math.max(highest, each);
        }
        return true;
      },
    ),
    { seed: 42, numRuns: 1000 },
  );
  t.pass('as a model says');
});
