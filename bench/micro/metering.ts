/** One request of a tenant, recorded: what the stage writes, and its part of the append of its turn. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type MonotonicMs, systemClock, systemRandom, systemTimers } from '../../src/core/index.ts';
import { meteringStage } from '../../src/metering/filter.ts';
import { Spool } from '../../src/metering/spool.ts';
import { TickCommits } from '../../src/metering/tick-commits.ts';
import { Exchange, type Identified, type Outcome } from '../../src/pipeline/index.ts';
import { emptySnapshot, type Route, type Tenant } from '../../src/tenants/index.ts';
import { systemDisk } from '../../src/wal/index.ts';
import { HeaderList } from '../../src/wire/index.ts';

/** Tenants that ask in turn: more than fit a first-level cache. */
const TENANTS = 1024;
const SERVED: Outcome = { kind: 'forwarded', status: 200 };

/** `perTurn`: requests that end in one turn of the loop. The files are dropped as if a collector had them. */
export function meteringWork(perTurn: number): () => void {
  const dir = mkdtempSync(join(tmpdir(), 'reeve-bench-spool-'));
  process.once('exit', () => rmSync(dir, { recursive: true, force: true }));
  const world = { clock: systemClock, random: systemRandom, disk: systemDisk };
  const spool = new Spool({ ...world, dir, maxBytes: 2 ** 30, onDamage: () => {} });
  const fail = (_records: number, cause: unknown): void => {
    throw cause;
  };
  const commits = new TickCommits({
    timers: { ...systemTimers, afterPoll: () => {} },
    isStrict: false,
    onLost: fail,
    onBack: () => {},
    onCommitted: () => {},
    onSyncFailed: () => {},
  });
  commits.use(spool);
  const { filter } = meteringStage({
    clock: systemClock,
    record: (record) => commits.record(record),
    isRefusing: () => false,
    traceIds: false,
    partEveryMs: 60_000,
  });
  const exchanges = Array.from({ length: TENANTS }, (_, index) => exchangeOf(index));
  let turn = 0;
  return () => {
    turn++;
    const x = exchanges[turn % TENANTS] as Identified;
    filter.onRequest?.(x);
    filter.onDone?.(x, SERVED);
    if (turn % perTurn === 0) commits.commitNow();
    if (turn % 65_536 === 0) spool.acked({ epoch: spool.head.epoch, seq: spool.lastSeq });
  };
}

function exchangeOf(index: number): Exchange {
  const x = new Exchange({
    id: 'r',
    trustClass: 'edge',
    snapshot: emptySnapshot,
    acceptedAt: (systemClock.now() - 12.34) as MonotonicMs,
    method: 'GET',
    target: '/',
    path: '/',
    host: 'a',
    port: 0,
    isWhole: true,
    headers: new HeaderList([]),
    peer: '127.0.0.1',
    route: { name: 'orders' } as Route,
  });
  x.tenant = { id: `tenant-${index}` } as Partial<Tenant> as Tenant;
  x.responseBytes = 2000;
  x.sentAt = 1.5;
  x.headAt = 9.25;
  return x;
}
