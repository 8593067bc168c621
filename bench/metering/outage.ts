/** What a spool whose collector is away holds, once its records are folded. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { zstdCompressSync } from 'node:zlib';
import { type Clock, type MonotonicMs, systemRandom, systemTimers } from '../../src/core/index.ts';
import { foldPart } from '../../src/metering/fold.ts';
import { Spool } from '../../src/metering/spool.ts';
import type { UsageRecord } from '../../src/metering/usage-record.ts';
import { systemDisk } from '../../src/wal/index.ts';

const TENANTS = 10_000;
const HOUR_MS = 3_600_000;
const GIB = 2 ** 30;
/** A million an hour: what a fleet must attribute. Here it is one sidecar's. */
const REQUESTS_AN_HOUR = 1_000_000;

/** How long 1 GiB keeps exact totals of 10,000 tenants: what one hour takes once it is folded. */
export async function outageHours(): Promise<number> {
  const { spool, fill, remove } = benchSpool();
  fill(REQUESTS_AN_HOUR, REQUESTS_AN_HOUR / 3600, TENANTS);
  const pack = async (payload: Buffer): Promise<Buffer> => zstdCompressSync(payload);
  let bytes = 0;
  for (const part of spool.parts) {
    const world = { spool, timers: systemTimers, now: () => performance.now(), pack };
    const bodies = await foldPart(world, part, HOUR_MS);
    for (const body of bodies ?? []) bytes += body.length;
  }
  remove();
  return GIB / bytes;
}

function benchSpool() {
  const dir = mkdtempSync(join(tmpdir(), 'reeve-bench-spool-'));
  let wall = 1_790_000_000_000;
  const clock: Clock = { now: () => wall as MonotonicMs, wallMs: () => Math.floor(wall) };
  const spool = new Spool({ dir, disk: systemDisk, clock, random: systemRandom, maxBytes: GIB, onDamage: () => {} });
  return {
    spool,
    /** So many, at so many a second: four series a tenant. */
    fill(requests: number, perSec: number, tenants: number): void {
      for (let i = 0; i < requests; i++) {
        const tenant = `tenant-${Math.floor(Math.random() * tenants)}`;
        while (!spool.add(recordOf(tenant, clock.wallMs(), i))) spool.commit();
        if (i % 16 === 15) spool.commit();
        wall += 1000 / perSec;
      }
      spool.commit();
    },
    remove(): void {
      spool.close();
      rmSync(dir, { recursive: true });
    },
  };
}

function recordOf(tenant: string, wallMs: number, i: number): UsageRecord {
  const kind = i % 20;
  const isDenied = kind === 0;
  const isWrite = kind > 0 && kind < 5;
  return {
    wallMs,
    tenant,
    route: kind > 13 ? 'search' : 'orders',
    upstream: '',
    outcome: isDenied ? 'denied' : 'ok',
    methodClass: isWrite ? 'write' : 'read',
    statusClass: isDenied ? 4 : 2,
    bytesIn: isWrite ? Math.floor(Math.random() * 4000) : 0,
    bytesOut: Math.floor(Math.random() * 20_000),
    durationUs: Math.floor(2000 + Math.random() * 30_000),
    upstreamUs: Math.floor(1000 + Math.random() * 20_000),
    units: [],
    traceId: '',
  };
}
