/** Two collectors that go on from one ledger, each with its own copy, and a sidecar that speaks now with one, now with the other. */
import { cpSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { openGrpcServer } from '../../src/collector/grpc-server.ts';
import { Collector, SegmentLedger } from '../../src/collector/index.ts';
import { systemClock, systemTimers } from '../../src/core/index.ts';
import { silentLog } from '../../src/telemetry/index.ts';
import { systemDisk } from '../../src/wal/index.ts';
import { MemoryDisk } from '../metering/memory-disk.ts';
import { collectorOf, metered, reaches, tempDir } from '../metering/metered.ts';
import { openKeeper } from './kept/open-keeper.ts';
import { MemoryRollups } from './memory-rollups.ts';

async function collectorIn(t: Test, dir: string) {
  const collector = await Collector.open({
    ...{ clock: systemClock, timers: systemTimers, log: silentLog, store: new MemoryRollups() },
    ...{ creditBytes: 10_000_000, graceMs: 60_000, patienceMs: 900_000, keepLedgerMs: 86_400_000 },
    openLedger: (from) =>
      SegmentLedger.open({ dir, disk: systemDisk, clock: systemClock, from, onDamage: () => t.fail('damage') }),
  });
  const server = await openGrpcServer({
    ...{ host: '127.0.0.1', port: 0, timers: systemTimers, tls: undefined, tokens: () => [] },
    session: (line) => collector.session(line),
    keeper: openKeeper(new MemoryDisk()),
  });
  let isOpen = true;
  const close = async (): Promise<void> => {
    if (!isOpen) return;
    isOpen = false;
    await server.close();
    await collector.close();
  };
  t.teardown(close);
  return { address: `127.0.0.1:${server.port}`, row: () => [...collector.spools][0], close };
}

t.test('a ledger that is cloned: each has each record once, or a gap where the other acknowledged it', async (t) => {
  const dir = tempDir(t);
  const spool = join(dir, 'spool');
  /** A life of the sidecar: so many requests, all told to one of the two. */
  const live = async (to: Awaited<ReturnType<typeof collectorIn>>, requests: number): Promise<string[]> => {
    const before = to.row()?.records ?? 0;
    const { metering, end, said } = await metered(t, { dir: spool, ...collectorOf(to) });
    end('acme', requests);
    await reaches(() => (to.row()?.records ?? 0) >= before + requests, true);
    await metering.drain(2000);
    await metering.close();
    return said.map(({ event }) => String(event)).filter((event) => /fence|damaged|missing/.test(event));
  };
  const first = await collectorIn(t, join(dir, 'a'));
  await live(first, 3);
  await first.close();
  cpSync(join(dir, 'a'), join(dir, 'b'), { recursive: true });
  const [a, b] = [await collectorIn(t, join(dir, 'a')), await collectorIn(t, join(dir, 'b'))];
  t.match([a.row(), b.row()], [{ records: 3 }, { records: 3 }], 'what stood in it before is in both');
  let told = 3;
  const incidents: string[] = [];
  const words: string[] = [];
  const lives = [
    [a, 4],
    [b, 1],
    [a, 2],
    [a, 3],
    [b, 1],
  ] as const;
  for (const [to, requests] of lives) {
    incidents.push(...(await live(to, requests)));
    told += requests;
    const { records = 0, lost = 0 } = to.row() ?? {};
    t.equal(records + lost, told, 'each number once, as a record or as a gap');
    words.push(`${to === a ? 'a' : 'b'}: ${records} and ${lost} lost`);
  }
  t.strictSame(
    words,
    ['a: 7 and 0 lost', 'b: 8 and 0 lost', 'a: 10 and 0 lost', 'a: 13 and 0 lost', 'b: 12 and 2 lost'],
    'what the spool still has it tells both; what it dropped, because the other acknowledged it, is a gap',
  );
  t.strictSame(incidents, [], 'nobody is fenced');
});
