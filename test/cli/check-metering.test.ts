/** What `reeve check` says of a spool: what is wrong with it, where, and what to do. */

import { once } from 'node:events';
import { cpSync, mkdtempSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { meteringChecks } from '../../src/cli/commands/check-metering.ts';
import { systemClock, systemRandom } from '../../src/core/index.ts';
import { Spool } from '../../src/metering/spool.ts';
import type { MeteringConfig } from '../../src/tenants/index.ts';
import { SegmentLog, systemDisk } from '../../src/wal/index.ts';
import { commitBlocks } from '../metering/world.ts';

const configOf = (more: Partial<MeteringConfig>): MeteringConfig => ({
  dir: '',
  collector: undefined,
  durability: 'interval',
  granularity: 'raw',
  maxBytes: 2 ** 20,
  onFull: 'failOpen',
  streamEveryMs: 60_000,
  traceIds: false,
  ...more,
});

const findings = async (more: Partial<MeteringConfig>) =>
  (await meteringChecks(configOf(more))).filter(({ result }) => result !== 'success');

/** A start and an end of the sidecar's part that has the spool; returns its id. */
function live(dir: string, blocks = 0): string {
  const spool = new Spool({
    ...{ dir, disk: systemDisk, clock: systemClock, random: systemRandom },
    ...{ maxBytes: 2 ** 20, onDamage() {} },
  });
  commitBlocks(spool, blocks, 5);
  spool.close();
  return spool.head.spoolId;
}

function spoolOf(t: Test, blocks = 20): { dir: string; segment: string } {
  const root = mkdtempSync(join(tmpdir(), 'reeve-check-'));
  t.teardown(() => rmSync(root, { recursive: true }));
  const dir = join(root, 'spool');
  live(dir, blocks);
  return { dir, segment: join(dir, '000000000001.wal') };
}

t.test('a spool that is sound, and one that is missing', async (t) => {
  const { dir } = spoolOf(t);
  t.strictSame(await findings({ dir }), []);
  rmSync(dir, { recursive: true });
  t.match(await meteringChecks(configOf({ dir })), [
    { result: 'success', description: /spool is writable; it will be made in / },
    { result: 'success', description: /there is no spool yet: .*what it had not told is lost/ },
  ]);
  live(dir);
  t.strictSame(await findings({ dir }), [], 'a new one is as sound as any');
});

t.test('a spool that is corrupted, before the start and behind it', async (t) => {
  const { dir, segment } = spoolOf(t);
  const bytes = readFileSync(segment);
  const at = bytes.length >> 1;
  bytes.writeUInt8(bytes.readUInt8(at) ^ 1, at);
  writeFileSync(segment, bytes);
  t.match(await findings({ dir }), [
    { result: 'error', description: 'spool is sound', error: /1\.wal at \d+: corrupt/, hint: /reeve wal inspect/ },
  ]);
  live(dir);
  t.match(await findings({ dir }), [
    {
      result: 'warning',
      description: 'spool is whole',
      error: /1\.wal: \d\d+ bytes were found damaged/,
      hint: /a gap/,
    },
  ]);
  writeFileSync(segment, bytes.fill(0));
  t.match(await findings({ dir }), [{ result: 'error', error: /1\.wal at 0: unreadable/ }]);
  live(dir);
  t.match(await findings({ dir }), [{ result: 'warning', description: 'spool is whole', error: /1\.wal\.corrupt/ }]);
});

t.test('a spool that is truncated, before the start and behind it', async (t) => {
  const { dir, segment } = spoolOf(t);
  truncateSync(segment, statSync(segment).size - 50);
  t.match(await findings({ dir }), [
    { result: 'warning', description: 'spool has its end', error: /1\.wal at \d+: torn tail/, hint: /cut the file/ },
  ]);
  live(dir, 1);
  t.strictSame(await findings({ dir }), [], 'it is cut off, and said in the log');
  live(dir, 1);
  rmSync(join(dir, '000000000002.wal'));
  t.match(await findings({ dir }), [{ result: 'error', description: 'spool is sound', error: /2\.wal at 0: missing/ }]);
});

t.test('a spool that is cloned, before the start and behind it; and two of them mixed', async (t) => {
  const { dir } = spoolOf(t);
  const copy = `${dir}-copy`;
  cpSync(dir, copy, { recursive: true });
  t.strictSame(await findings({ dir: copy }), [], 'a copy is as sound as what it was made of');
  cpSync(copy, `${copy}.fenced-0123abcd`, { recursive: true });
  live(copy);
  t.match(await findings({ dir: copy }), [
    { result: 'warning', description: 'spool is its own', error: /fenced-0123abcd/, hint: /no two sidecars/ },
  ]);
  const { dir: other } = spoolOf(t, 1);
  live(other, 1);
  cpSync(join(other, '000000000002.wal'), join(dir, '000000000002.wal'));
  t.throws(() => live(dir), { code: 'spool-mixed' });
  t.match(await findings({ dir }), [
    { result: 'error', description: 'spool is of one sidecar', error: /1\.wal is of spool .*\n.*2\.wal is of spool/ },
  ]);
});

t.test('a spool that fills, is full, or is none', async (t) => {
  const { dir, segment } = spoolOf(t);
  const maxBytes = statSync(segment).size;
  t.match(await findings({ dir, maxBytes: Math.round(maxBytes * 1.2) }), [
    { result: 'warning', description: 'spool has room', hint: /folded/ },
  ]);
  t.match(await findings({ dir, maxBytes }), [
    { result: 'error', description: 'spool has room', hint: /metering.maxBytes/ },
  ]);
  const other = `${dir}-other`;
  const kind = { dir: other, disk: systemDisk, kind: 'LEDG', head: () => Buffer.alloc(6) };
  for (let i = 0; i < 2; i++)
    SegmentLog.open(
      kind,
      () => {},
      () => {},
    ).close();
  cpSync(join(other, '000000000002.wal'), join(dir, '000000000002.wal'));
  t.match(await findings({ dir }), [
    { result: 'error', description: 'spool is a log of its own', error: /2\.wal is a segment of LEDG, not of SPOL/ },
  ]);
  rmSync(dir, { recursive: true });
  writeFileSync(dir, '');
  t.match(await findings({ dir }), [{ result: 'error', description: 'spool is readable', error: /ENOTDIR/ }]);
});

t.test(
  'a directory that nobody may write, on a disk without room',
  { skip: process.platform !== 'linux' },
  async (t) => {
    t.match(await findings({ dir: '/proc/self' }), [
      { result: 'error', description: 'spool is writable', error: /E(ACCES|ROFS|PERM)/ },
      { result: 'error', description: 'the disk of the spool has room', hint: /failOpen/ },
    ]);
  },
);

t.test('a collector', async (t) => {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const collector = { address: `127.0.0.1:${port}`, tls: undefined, tokenFile: undefined };
  t.strictSame(await findings({ dir: '/nowhere/spool', collector }), []);
  const afar = { ...collector, address: `[::ffff:127.0.0.1]:${port}` };
  t.match(await findings({ dir: '/nowhere/spool', collector: afar }), [
    { result: 'warning', description: 'collector is told over TLS', hint: /caFile/ },
  ]);
  server.close();
  t.match(await findings({ dir: '/nowhere/spool', collector }), [
    { result: 'warning', description: 'collector accepts connections' },
  ]);
});
