/** What every ledger must do: run over each adapter. */
import type { Test } from 'tap';
import { type Entry, type EntryKind, LIFE_UNKNOWN } from '../../src/collector/entry.ts';
import type { Committed, Ledger } from '../../src/collector/ledger.ts';
import type { Place } from '../../src/wal/index.ts';
import { LIFE, SPOOL, T0 } from '../collector/told.ts';

/** Opens the ledger, what stands before a place is known; again: what was committed is there. */
export type OpenLedger = (from?: Place) => Ledger;

/** An entry of a kind that says all it can; `seq` tells it from others. */
export function entryOf(kind: EntryKind, seq: number, more: Partial<Entry> = {}): Entry {
  return {
    kind,
    receivedMs: T0 + seq,
    spoolId: SPOOL,
    service: 'orders',
    instance: 'orders-7c9',
    epoch: 3,
    life: kind === 'gap' ? LIFE_UNKNOWN : LIFE,
    seqFrom: seq,
    seqTo: seq,
    chainBefore: 1,
    chainAfter: 2 ** 32 - 1,
    watermarkMs: T0,
    ...(kind === 'batch'
      ? { batch: { isFolded: seq % 2 === 0, crc: 7, bytes: 99, zstd: Buffer.from(`z${seq}`) } }
      : {}),
    ...(kind === 'gap' ? { reason: 'full' } : {}),
    ...more,
  };
}

const KINDS: readonly EntryKind[] = ['batch', 'gap', 'bye', 'write-off'];
const entriesOf = (count: number, from = 0): Entry[] =>
  Array.from({ length: count }, (_, at) => entryOf(KINDS[at % KINDS.length] as EntryKind, from + at));

/** As plain values: a payload is a part of what was read. */
const plain = (entries: Iterable<Entry>): unknown[] =>
  [...entries].map(({ batch, ...rest }) => ({
    ...rest,
    ...(batch === undefined ? {} : { batch: { ...batch, zstd: Buffer.from(batch.zstd).toString('hex') } }),
  }));
/** Payloads are read while they are scanned. */
const scanned = (ledger: Ledger, from?: Place): unknown[] => {
  const all: unknown[] = [];
  for (const { entry } of ledger.scan(from)) all.push(...plain([entry]));
  return all;
};
const seqs = (ledger: Ledger, from?: Place): number[] => [...ledger.scan(from)].map(({ entry }) => entry.seqFrom);

export function ledgerContract(t: Test, name: string, fresh: () => OpenLedger): void {
  t.test(`${name}: what is committed stands, whole and in order, behind another opening`, async (t) => {
    const open = fresh();
    const entries = entriesOf(40);
    let ledger = open();
    t.same(scanned(ledger), [], 'it is new');
    for (const each of entries.slice(0, 25)) ledger.append(each);
    await ledger.commit();
    t.same(scanned(ledger), plain(entries.slice(0, 25)), 'also while it is written');
    ledger.close();
    ledger = open();
    t.same(scanned(ledger), plain(entries.slice(0, 25)));
    for (const each of entries.slice(25)) ledger.append(each);
    await ledger.commit();
    ledger.close();
    ledger = open();
    t.same(scanned(ledger), plain(entries));
    ledger.close();
  });

  t.test(`${name}: it is read on from any place that it named`, async (t) => {
    const ledger = fresh()();
    for (const each of entriesOf(12)) ledger.append(each);
    await ledger.commit();
    const all: Committed[] = [...ledger.scan(undefined)];
    for (const [at, { next }] of all.entries()) t.same(seqs(ledger, next), seqs(ledger).slice(at + 1));
    t.same(seqs(ledger, ledger.highWater), [], 'behind the last one there is none');
    ledger.append(entryOf('bye', 99));
    await ledger.commit();
    t.same(seqs(ledger, all.at(-1)?.next), [99]);
    ledger.close();
  });

  t.test(`${name}: the high water is where the last commit ended, and one commit is for all before it`, async (t) => {
    const ledger = fresh()();
    const before = ledger.highWater;
    const { bytes } = ledger;
    ledger.append(entryOf('batch', 1));
    t.same(ledger.highWater, before, 'not before a commit');
    t.ok(ledger.bytes > bytes);
    const commits = [ledger.commit(), ledger.commit()];
    ledger.append(entryOf('batch', 2));
    await Promise.all([...commits, ledger.commit()]);
    t.same(seqs(ledger, before), [1, 2]);
    const { highWater } = ledger;
    await ledger.commit();
    t.same(ledger.highWater, highWater, 'there is nothing to commit');
    ledger.close();
  });

  t.test(`${name}: an entry that is too long is refused, and nothing of it stands`, async (t) => {
    const ledger = fresh()();
    const zstd = Buffer.alloc(3 * 2 ** 20);
    ledger.append(entryOf('bye', 1));
    t.throws(
      () => ledger.append(entryOf('batch', 2, { batch: { isFolded: false, crc: 0, bytes: 1, zstd } })),
      RangeError,
    );
    ledger.append(entryOf('bye', 3));
    await ledger.commit();
    t.same(seqs(ledger), [1, 3]);
    ledger.close();
  });

  t.test(`${name}: to look whether there is room leaves no entry`, async (t) => {
    const open = fresh();
    let ledger = open();
    ledger.append(entryOf('bye', 1));
    ledger.probe();
    ledger.append(entryOf('bye', 2));
    await ledger.commit();
    ledger.close();
    ledger = open();
    t.same(seqs(ledger), [1, 2]);
    ledger.close();
  });

  t.test(`${name}: what is dropped is old and stands before the place, and never what is behind it`, async (t) => {
    const open = fresh();
    let ledger = open();
    const places: Place[] = [];
    for (let seq = 0; seq < 60; seq++) {
      ledger.append(entryOf('batch', seq, { batch: { isFolded: false, crc: 0, bytes: 1, zstd: Buffer.alloc(200) } }));
      await ledger.commit();
      places.push(ledger.highWater);
    }
    const place = places[39] as Place;
    ledger.drop(place, 0);
    t.equal(seqs(ledger).length, 60, 'nothing is that old');
    ledger.drop({ segment: 0, offset: 0 }, Number.MAX_SAFE_INTEGER);
    t.equal(seqs(ledger).length, 60, 'nothing stands before that');
    for (let i = 0; i < 2; i++) {
      ledger.drop(place, Number.MAX_SAFE_INTEGER);
      const left = seqs(ledger);
      t.ok(left.length < 60 && left.length >= 20, `${left.length} are left`);
      t.same(
        left,
        Array.from({ length: left.length }, (_, at) => 60 - left.length + at),
        'the last ones',
      );
    }
    t.same(
      seqs(ledger, place),
      Array.from({ length: 20 }, (_, at) => 40 + at),
    );
    const left = seqs(ledger);
    ledger.close();
    ledger = open(place);
    t.same(
      seqs(ledger, place),
      Array.from({ length: 20 }, (_, at) => 40 + at),
    );
    ledger.close();
    ledger = open();
    t.same(seqs(ledger), left);
    ledger.close();
  });

  t.test(`${name}: one that ends before what is known of it is another one, and is left as it is`, async (t) => {
    const [longer, open] = [fresh()(), fresh()];
    for (const each of entriesOf(30)) longer.append(each);
    await longer.commit();
    let ledger = open();
    ledger.append(entryOf('bye', 1));
    await ledger.commit();
    ledger.close();
    t.throws(() => open(longer.highWater), { code: 'ledger-behind', remedy: /--rebuild/ });
    ledger = open();
    t.same(seqs(ledger), [1]);
    ledger.close();
    longer.close();
  });
}
