import fc from 'fast-check';
import t from 'tap';
import { completenessOf } from '../../src/collector/completeness.ts';
import { CreditPool } from '../../src/collector/credits.ts';
import { type Entry, LIFE_UNKNOWN, readEntry, writeEntry } from '../../src/collector/entry.ts';
import { Replay } from '../../src/collector/replay.ts';
import { lostOf, type Spool, Spools } from '../../src/collector/spools.ts';
import { Writer } from '../../src/core/index.ts';
import { FRAME_HEAD } from '../../src/wal/index.ts';
import { entryOf, SPOOL, T0 } from './told.ts';

const entry = (more: Partial<Entry> = {}): Entry => entryOf({ seqTo: 3, chainBefore: 7, chainAfter: 8, ...more });

/** An entry of version 0; with `onHole` of a segment that was synced. */
const replay = (spools: Spools, each: Entry, onHole?: (lost: number) => void): boolean =>
  new Replay(spools, ({ lost }) => onHole?.(lost)).read(each, onHole !== undefined).length === 1;

t.test('an entry is read as it was written, and nothing else is one', async (t) => {
  const writer = new Writer(10_000);
  const entries = [
    entry(),
    entry({ kind: 'batch', batch: { isFolded: true, crc: 5, bytes: 6, zstd: Buffer.from('abc') } }),
    entry({ kind: 'bye' }),
    entry({ kind: 'write-off', instance: '', epoch: 2 ** 48 }),
    entry({ stood: { told: 2 ** 40, synced: 7 } }),
    entry({
      kind: 'batch',
      stood: { told: 1, synced: 0 },
      batch: { isFolded: false, crc: 5, bytes: 6, zstd: Buffer.from('abc') },
    }),
  ].map(({ reason, ...rest }) => (rest.kind === 'gap' ? { ...rest, reason } : rest)) as Entry[];
  for (const each of entries) {
    const length = writeEntry(writer, each);
    t.same(readEntry(Buffer.from(writer.bytes.subarray(FRAME_HEAD, length))), each);
    if (each.kind !== 'batch')
      for (let cut = FRAME_HEAD; cut < length; cut++)
        t.equal(readEntry(Buffer.from(writer.bytes.subarray(FRAME_HEAD, cut))), undefined);
  }
  const batch = { isFolded: true, crc: 5, bytes: 6, zstd: Buffer.alloc(0) };
  const { reason: _, ...rest } = entry({ kind: 'batch', batch });
  const whole = writeEntry(writer, rest);
  for (let cut = FRAME_HEAD; cut < whole; cut++)
    t.equal(readEntry(Buffer.from(writer.bytes.subarray(FRAME_HEAD, cut))), undefined);
  const newer = Buffer.from(writer.bytes.subarray(FRAME_HEAD, writeEntry(writer, entry())));
  newer.writeUInt8(8, 0);
  t.equal(readEntry(newer), undefined, 'of a version that is not known');
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
      const read = readEntry(Buffer.from(bytes));
      return read === undefined || read.seqFrom >= 0;
    }),
    { numRuns: 500 },
  );
});

t.test('entries of the ledger count once, in order, whatever stands there twice', async (t) => {
  const spools = new Spools();
  t.ok(replay(spools, entry()));
  t.notOk(replay(spools, entry()), 'again');
  t.notOk(replay(spools, entry({ seqFrom: 2, seqTo: 5, chainBefore: 8 })), 'overlapping');
  t.notOk(replay(spools, entry({ seqFrom: 4, seqTo: 5, chainBefore: 9 })), 'of another history');
  t.ok(replay(spools, entry({ seqFrom: 4, seqTo: 5, chainBefore: 8, watermarkMs: T0 - 5 })));
  t.ok(replay(spools, entry({ epoch: 2, seqFrom: 1, seqTo: 1 })), 'a later epoch');
  t.notOk(replay(spools, entry({ epoch: 2, seqFrom: 2, seqTo: 1 })), 'an empty range');
  const row = spools.get(SPOOL);
  t.match(row, { lost: 6, synced: { epoch: 2, seq: 1 }, watermarkMs: T0, pending: 0, newest: { epoch: 2 } });
  t.ok(replay(spools, entry({ kind: 'bye', epoch: 2, seqTo: 1 })));
  t.equal(row?.state, 'ended');
  t.ok(replay(spools, entry({ kind: 'write-off' })));
  t.equal(row?.state, 'written off');
  const holes: number[] = [];
  const onHole = (lost: number): void => void holes.push(lost);
  t.notOk(replay(spools, entry({ epoch: 2, seqFrom: 5, seqTo: 6 })), 'behind a hole');
  t.ok(replay(spools, entry({ epoch: 2, seqFrom: 5, seqTo: 6 }), onHole), 'behind one that damage made');
  t.notOk(replay(spools, entry({ epoch: 2, seqFrom: 6, seqTo: 9 }), onHole), 'overlapping');
  t.notOk(replay(spools, entry({ epoch: 2, seqFrom: 7, seqTo: 9, chainBefore: 1 }), onHole), 'of another history');
  t.notOk(replay(spools, entry({ epoch: 1, seqFrom: 9, seqTo: 9 }), onHole), 'an earlier epoch');
  t.ok(replay(spools, entry({ epoch: 3, seqFrom: 2, seqTo: 2 }), onHole), 'of a later epoch');
  t.ok(replay(spools, entry({ epoch: 3, kind: 'bye', seqFrom: 6, seqTo: 6, chainAfter: 4 }), onHole), 'before the end');
  t.same(holes, [3, 1, 4]);
  t.match(row, { lost: 17, state: 'ended', pending: 0, synced: { epoch: 3, seq: 6, chain: 4 } });
  const copy = new Spools();
  copy.read(JSON.parse(JSON.stringify(spools.write())));
  t.same([...copy], [...spools], 'a checkpoint holds all of it');
});

t.test('a save of before does not say how many numbers were told: they are those that are known', async (t) => {
  const spools = new Spools();
  replay(spools, entry());
  const [row] = JSON.parse(JSON.stringify(spools.write())) as [Spool];
  t.equal(lostOf(row), 3);
  const { told, ...synced } = row.synced;
  t.equal(told, 3);
  const older = new Spools();
  older.read([{ ...row, synced, records: 5 }]);
  t.match(older.get(SPOOL), { taken: { told: 8 }, synced: { told: 8 }, doubt: undefined });
});

t.test('a full table forgets who is done and was silent longest, and nobody who is live', async (t) => {
  const spools = new Spools(2);
  const [a, b, c] = ['aa', 'bb', 'cc'].map((each) => each.repeat(16)) as [string, string, string];
  for (const [spoolId, receivedMs] of [
    [a, T0 + 5],
    [b, T0],
  ] as const) {
    replay(spools, entry({ spoolId, receivedMs }));
    replay(spools, entry({ spoolId, receivedMs, kind: 'bye' }));
  }
  t.ok(replay(spools, entry({ spoolId: c })));
  t.equal(spools.get(b), undefined);
  t.ok(spools.get(a));
  t.ok(replay(spools, entry({ spoolId: b })));
  t.notOk(replay(spools, entry({ spoolId: a })), 'both are live');
  t.equal(spools.size, 2);
});

t.test('windows are complete up to the slowest live spool, which is named', async (t) => {
  const spools = new Spools();
  const [a, b] = ['aa'.repeat(16), 'bb'.repeat(16)] as [string, string];
  replay(spools, entry({ spoolId: a, watermarkMs: T0 + 9000 }));
  replay(spools, entry({ spoolId: b, watermarkMs: T0 + 4000, service: 'billing' }));
  t.same(completenessOf(spools, T0 + 4000), { untilMs: T0 + 4000, missing: [], missingCount: 0 });
  t.match(completenessOf(spools, T0 + 8000), {
    untilMs: T0 + 4000,
    missing: [{ spool: b, service: 'billing', instance: 'pod-1', lastMs: T0 + 4000 }],
  });
  spools.meet('cc'.repeat(16), 'orders', '', T0 + 8000);
  t.equal(completenessOf(spools, T0 + 8000).missingCount, 1, 'who came after it has nothing of it');
  t.equal(completenessOf(spools, T0 + 8500).missingCount, 2);
  replay(spools, entry({ spoolId: b, kind: 'bye', seqTo: 3 }));
  t.equal(completenessOf(spools, T0 + 8000).untilMs, T0 + 8000, 'who said Bye holds nothing');
  for (let i = 0; i < 150; i++) spools.meet(i.toString(16).padStart(32, '0'), 'x', '', T0);
  const many = completenessOf(spools, T0 + 8000);
  t.equal(many.missing.length, 100);
  t.equal(many.missingCount, 150);
});

t.test('lines that grew leave half of the credit to those that come', async (t) => {
  const pool = new CreditPool({ budget: 1_000_000, base: 1000, most: 400_000 });
  const lines = Array.from({ length: 10 }, () => pool.join());
  for (let round = 0; round < 50; round++)
    for (const line of lines) {
      const bytes = line?.promised as number;
      t.ok(line?.spend(bytes));
      line?.release(bytes);
    }
  t.equal(pool.free, 500_000);
  t.ok(Array.from({ length: 500 }, () => pool.join()).every((line) => line !== undefined));
});

t.test('credit of 10,000 streams never exceeds the budget, and each of them goes on', async (t) => {
  const budget = 10_000 * 32 * 1024 + 50 * 2 ** 20;
  const pool = new CreditPool({ budget, base: 32 * 1024, most: 4 * 2 ** 20 });
  const lines = Array.from({ length: 10_000 }, () => pool.join());
  t.ok(lines.every((each) => each !== undefined));
  let held = 0;
  let least = pool.free;
  let moved = 0;
  let seed = 7;
  const random = (below: number): number => (seed = (seed * 48_271) % 2_147_483_647) % below;
  const sent: [number, number][] = [];
  for (let i = 0; i < 200_000; i++) {
    const at = random(10_000);
    const line = lines[at];
    const bytes = Math.min(line?.promised ?? 0, 1 + random(200_000));
    if (bytes > 0 && line?.spend(bytes)) {
      sent.push([at, bytes]);
      held += bytes;
    }
    if (sent.length > 3000 || random(3) === 0) {
      const [of, size] = sent.splice(random(sent.length), 1)[0] ?? [];
      if (of !== undefined && size !== undefined) {
        lines[of]?.release(size);
        held -= size;
        moved++;
      }
    }
    least = Math.min(least, pool.free);
    if (held > budget) t.fail('more is held than there may be');
  }
  t.ok(least >= 0 && moved > 50_000, `${least} free at least, ${moved} released`);
  for (const [of, size] of sent) lines[of]?.release(size);
  t.ok(
    lines.every((line) => (line?.promised ?? 0) > 0),
    'nobody is left without',
  );
  for (const line of lines) {
    line?.leave();
    line?.leave();
  }
  t.equal(pool.free, budget);
  t.equal(pool.lines, 0);
});

t.test('a busy line grows, an idle one shrinks, and one too large for any promise comes alone', async (t) => {
  const pool = new CreditPool({ budget: 100_000, base: 1000, most: 8000 });
  const line = pool.join();
  if (line === undefined) throw new Error('no line');
  for (const window of [2000, 4000, 8000, 8000]) {
    const all = line.promised;
    t.ok(line.spend(all));
    t.equal(line.release(all), window);
  }
  for (let i = 0; i < 90; i++) {
    line.spend(100);
    line.release(100);
  }
  t.equal(line.promised, 1000, 'one that does little is back at the base');
  const rest = line.promised;
  t.ok(line.spend(50_000));
  t.notOk(line.spend(1), 'now something is on its way');
  t.notOk(pool.join()?.spend(90_000), 'and nobody gets what is not there');
  t.ok(line.release(50_000) >= 1000 && rest > 0);
  line.leave();
  line.spend(0);
  t.equal(line.release(0), 0, 'who left is given nothing');
  t.equal(new CreditPool({ budget: 10, base: 11, most: 12 }).join(), undefined);
  t.equal(LIFE_UNKNOWN.length, 16);
});
