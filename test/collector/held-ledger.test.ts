/** A ledger in a directory that another process may take. */
import t from 'tap';
import type { Entry } from '../../src/collector/entry.ts';
import { HeldLedger } from '../../src/collector/held-ledger.ts';
import { SegmentLedger } from '../../src/collector/index.ts';
import { systemClock } from '../../src/core/index.ts';
import { MemoryDisk } from '../metering/memory-disk.ts';
import { LIFE, SPOOL, T0 } from './told.ts';

t.test("nothing is appended, committed or dropped any more once it is another process's", async (t) => {
  let isHeld = true;
  const claim = {
    assertHeld() {
      if (!isHeld) throw new Error('taken');
    },
  };
  const disk = new MemoryDisk();
  const inner = SegmentLedger.open({ dir: '/ledger', disk, clock: systemClock, onDamage() {} });
  const ledger = new HeldLedger(inner, claim);
  const entry: Entry = {
    kind: 'gap',
    reason: 'full',
    ...{ receivedMs: T0, spoolId: SPOOL, service: 'orders', instance: '', epoch: 1, life: LIFE },
    ...{ seqFrom: 1, seqTo: 1, chainBefore: 0, chainAfter: 0, watermarkMs: T0 },
  };
  ledger.append(entry);
  await ledger.commit();
  ledger.probe();
  ledger.drop(ledger.highWater, 0);
  t.equal([...ledger.scan(undefined)].length, 1);
  t.strictSame([ledger.bytes, ledger.highWater], [inner.bytes, inner.highWater]);
  const { bytes } = ledger;
  disk.isSlow = true;
  ledger.append(entry);
  const committing = t.rejects(ledger.commit(), /taken/, 'also when it was taken while the disk synced');
  isHeld = false;
  disk.isSlow = false;
  await new Promise(setImmediate);
  disk.finishSyncs();
  await committing;
  t.throws(() => ledger.append(entry), /taken/);
  t.throws(() => ledger.probe(), /taken/);
  t.throws(() => ledger.drop(ledger.highWater, 0), /taken/);
  t.ok(ledger.bytes > bytes);
  ledger.close();
});
