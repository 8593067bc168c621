/** What `reeve check` says of a spool: what is wrong with it, where, and what to do. */

import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { meteringChecks } from '../../src/cli/commands/check-metering.ts';
import type { MeteringConfig } from '../../src/tenants/index.ts';

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

t.test('a spool', async (t) => {
  const root = mkdtempSync(join(tmpdir(), 'reeve-check-'));
  t.teardown(() => rmSync(root, { recursive: true }));
  const dir = join(root, 'spool');
  t.strictSame(await findings({ dir }), [], 'there is none yet');
  mkdirSync(dir);
  t.strictSame(await findings({ dir }), [], 'empty');
  const segment = join(dir, '000000000001.wal');
  writeFileSync(segment, '');
  truncateSync(segment, 900_000);
  t.match(await findings({ dir }), [{ result: 'warning', description: 'spool has room', hint: /folded/ }]);
  truncateSync(segment, 2 ** 20);
  t.match(await findings({ dir }), [{ result: 'error', description: 'spool has room', hint: /metering.maxBytes/ }]);
  truncateSync(segment, 0);
  writeFileSync(join(dir, '000000000002.wal.corrupt'), '');
  mkdirSync(`${dir}.fenced-0123abcd`);
  t.match(await findings({ dir }), [
    { result: 'warning', description: 'spool is sound', error: /2\.wal\.corrupt/, hint: /reeve wal inspect/ },
    { result: 'warning', description: 'spool is its own', error: /fenced-0123abcd/ },
  ]);
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
