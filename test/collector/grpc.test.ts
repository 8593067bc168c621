/** The streams over real gRPC: a good sidecar, and others. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client, credentials, Metadata, Server, ServerCredentials, type ServerWritableStream } from '@grpc/grpc-js';
import t, { type Test } from 'tap';
import { openGrpcServer, type TlsFiles } from '../../src/collector/grpc-server.ts';
import { Collector, SegmentLedger } from '../../src/collector/index.ts';
import { systemClock, systemTimers, type Timers } from '../../src/core/index.ts';
import { connectKeeper, KEEP, type KeptRow, RESTORE, toWire } from '../../src/metering/index.ts';
import { silentLog } from '../../src/telemetry/index.ts';
import { ManualClock } from '../helpers/manual-clock.ts';
import { MemoryDisk } from '../metering/memory-disk.ts';
import { GrpcClient } from './grpc-client.ts';
import { kept, openKeeper, textsOf } from './kept/open-keeper.ts';
import { MemoryRollups } from './memory-rollups.ts';
import { Teller, usage } from './told.ts';

const fixture = (name: string): Buffer => readFileSync(new URL(`./tls/${name}`, import.meta.url));

async function serve(t: Test, o: { tokens?: readonly string[]; tls?: TlsFiles; timers?: Timers } = {}) {
  const disk = new MemoryDisk();
  const collector = await Collector.open({
    clock: systemClock,
    timers: systemTimers,
    log: silentLog,
    store: new MemoryRollups(),
    creditBytes: 10_000_000,
    graceMs: 60_000,
    patienceMs: 900_000,
    keepLedgerMs: 86_400_000,
    openLedger: () => SegmentLedger.open({ dir: '/ledger', disk, clock: systemClock, onDamage: () => {} }),
  });
  const keeper = openKeeper(disk);
  const server = await openGrpcServer({
    host: '127.0.0.1',
    port: 0,
    timers: o.timers ?? systemTimers,
    tls: o.tls,
    tokens: () => o.tokens ?? [],
    session: (line) => collector.session(line),
    keeper,
  });
  t.teardown(async () => {
    await server.close();
    await collector.close();
  });
  const connect = (more: ConstructorParameters<typeof GrpcClient>[1] = {}): GrpcClient => {
    const client = new GrpcClient(server.port, more);
    t.teardown(() => client.close());
    return client;
  };
  return { collector, server, connect };
}

t.test('a sidecar is welcomed, acknowledged, and goes on where it was after a cut', async (t) => {
  const { collector, server, connect } = await serve(t);
  const teller = new Teller();
  const first = connect();
  first.send(teller.hello());
  t.equal(await first.next(), 'welcome 0:0');
  t.equal(server.streams, 1);
  first.send(teller.batch([usage(), usage()]));
  t.equal(await first.next(), 'ack 1:2');
  first.close();
  const second = connect();
  second.send(teller.hello());
  t.equal(await second.next(), 'welcome 1:2');
  second.send(teller.batch([usage()]));
  second.send(teller.bye());
  t.match([await second.next(), await second.next()].join(), /ack 1:3/);
  t.equal([...collector.spools][0]?.state, 'ended');
  await collector.settle();
  t.equal(collector.sums.records, 3);
});

t.test('hostile streams get a reason and an end, and the collector serves on', async (t) => {
  const { collector, connect } = await serve(t);
  const early = connect();
  early.send(new Teller().bye());
  t.match(await early.next(), /^nack the first message/);
  t.equal(await early.next(), 'over 0');
  const garbage = connect();
  garbage.sendBytes(Buffer.from('ff00ff00ff00', 'hex'));
  t.match(await garbage.next(), /^over (3|13)$/);
  const large = connect();
  large.sendBytes(Buffer.alloc(3 * 2 ** 20));
  t.equal(await large.next(), 'over 8');
  const spoiled = connect();
  const teller = new Teller();
  spoiled.send(teller.hello());
  await spoiled.next();
  spoiled.send(teller.batch([usage()], { payload: Buffer.from('28b52ffd00ff', 'hex') }));
  t.match(await spoiled.next(), /^nack the payload is not Zstandard/);
  for (let i = 0; i < 20; i++) connect().close();
  const good = connect();
  good.send(new Teller('ab'.repeat(16)).hello());
  t.equal(await good.next(), 'welcome 0:0');
  t.equal(collector.trouble, undefined);
});

t.test('a stream that says no Hello is ended', async (t) => {
  const { connect } = await serve(t, { timers: { ...systemTimers, after: (_ms, run) => systemTimers.after(1, run) } });
  const mute = connect();
  t.match(await mute.next(), /^nack .* Hello, and it did not come/);
  t.equal(await mute.next(), 'over 0');
});

t.test('without the token nobody is heard', async (t) => {
  const { connect } = await serve(t, { tokens: ['old', 'secret'] });
  for (const token of [undefined, 'wrong', 'secret '])
    t.equal(await connect(token === undefined ? {} : { token }).next(), 'over 16', String(token));
  const good = connect({ token: 'secret' });
  good.send(new Teller().hello());
  t.equal(await good.next(), 'welcome 0:0');
});

t.test(
  'TLS: plain text is not understood, and a client without a certificate is not let in where one is asked for',
  async (t) => {
    const tls = { cert: fixture('server.crt'), key: fixture('server.key'), clientCa: fixture('ca.crt') };
    const { connect } = await serve(t, { tls });
    t.equal(await connect().next(), 'over 14');
    t.equal(await connect({ tls: credentials.createSsl(fixture('ca.crt')) }).next(), 'over 14');
    const good = connect({
      tls: credentials.createSsl(fixture('ca.crt'), fixture('client.key'), fixture('client.crt')),
    });
    good.send(new Teller().hello());
    t.equal(await good.next(), 'welcome 0:0');
  },
);

t.test('a port that is taken, and a key that is none, are said with the remedy', async (t) => {
  const { server } = await serve(t);
  const o = {
    ...{ host: '127.0.0.1', timers: systemTimers, tokens: () => [], session: () => t.fail() as never },
    keeper: openKeeper(new MemoryDisk()),
  };
  await t.rejects(openGrpcServer({ ...o, port: server.port, tls: undefined }), {
    code: 'listen-failed',
    remedy: /--grpc-port/,
  });
  const tls = { cert: fixture('server.crt'), key: Buffer.from('none'), clientCa: undefined };
  await t.rejects((async () => openGrpcServer({ ...o, port: 0, tls }))(), { code: 'listen-failed' });
});

const DAY_MS = 86_400_000;
const day = (more: object = {}): KeptRow => kept('a', 1, { untilMs: systemClock.wallMs() + DAY_MS, ...more });

t.test('rows that a fleet keeps come back, in pieces, to who names it', async (t) => {
  const { server } = await serve(t, { tokens: ['s3cret'] });
  const link = await linkTo(t, server.port, 's3cret');
  const many = Array.from({ length: 500 }, (_, at) => kept(`${'k'.repeat(200)}${at}`, at));
  const { storeId, refused } = await link.keep(many, 5000);
  t.match(storeId, /^[0-9a-f]{16}$/);
  t.equal(refused, 0);
  const pieces: (readonly KeptRow[])[] = [];
  await link.restore((rows) => void pieces.push(rows), 5000, 5000);
  t.ok(pieces.length > 2);
  t.same(textsOf(pieces.flat()), textsOf(many));
  const others = await linkTo(t, server.port, 's3cret', 'green');
  await others.restore((rows) => t.same(rows, []), 5000, 5000);
  await t.rejects(link.keep([kept('', 1)], 5000), /a row a key/);
  await link.restore(() => {}, 5000, 5000);
});

t.test('without a token, or in another version, nothing is kept and nothing read', async (t) => {
  const { server } = await serve(t, { tokens: ['s3cret'] });
  for (const token of [undefined, 'wrong']) {
    const link = await linkTo(t, server.port, token);
    await t.rejects(link.keep([day()], 5000), { code: 16, details: /a token of this collector/ });
    await t.rejects(
      link.restore(() => t.fail('a row'), 5000, 5000),
      { code: 16 },
    );
  }
  const client = new Client(`localhost:${server.port}`, credentials.createInsecure());
  t.teardown(() => client.close());
  const metadata = new Metadata();
  metadata.set('authorization', 'Bearer s3cret');
  const request = { version: 2, fleet: 'blue', rows: [] };
  const { path, requestSerialize, responseDeserialize } = KEEP;
  const cause = await new Promise((resolve) =>
    client.makeUnaryRequest(path, requestSerialize, responseDeserialize, request, metadata, resolve),
  );
  t.match(cause, { code: 9, details: /version 1, not 2/ });
});

t.test(
  'a collector that is not there, a token file that is not: the call rejects; who stops reading is let go',
  async (t) => {
    const { server } = await serve(t);
    const address = `localhost:${server.port}`;
    const lost = await connectKeeper(
      { address, tls: undefined, tokenFile: '/none' },
      'blue',
      systemClock,
      systemTimers,
    );
    await t.rejects(lost.keep([], 5000), { code: 'ENOENT' });
    const link = await linkTo(t, server.port);
    const many = Array.from({ length: 3000 }, (_, at) => kept(`${'k'.repeat(200)}${at}`, at));
    for (let at = 0; at < many.length; at += 1000) await link.keep(many.slice(at, at + 1000), 5000);
    await link.restore(() => link.close(), 5000, 5000).catch(() => {});
    await link.restore((rows) => t.ok(rows.length > 0), 5000, 5000);
    await server.close();
    await t.rejects(link.keep([], 1000));
  },
);

t.test('a fleet that cannot be called so is told, also when it reads', async (t) => {
  const { server } = await serve(t);
  for (const fleet of ['two words', 'blüe', '']) {
    const link = await linkTo(t, server.port, undefined, fleet);
    await t.rejects(link.keep([day()], 5000), { code: 3, details: /gossip\.cluster/ });
    await t.rejects(
      link.restore(() => t.fail('a row'), 5000, 5000),
      { code: 3, details: /gossip\.cluster/ },
    );
  }
});

t.test('rows are waited for as long as they come, however long all take, and not when none comes', async (t) => {
  const clock = new ManualClock();
  const rows = [kept('a', 1)];
  let more = (): void => {};
  let pieces = 0;
  const server = new Server();
  t.teardown(() => server.forceShutdown());
  const restore = (call: ServerWritableStream<unknown, object>): void => {
    more = () => void call.write({ rows: toWire(rows) });
    more();
    if (pieces >= 5) call.end();
  };
  server.addService({ restore: RESTORE }, { restore: restore as never });
  const port = await new Promise<number>((resolve) =>
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (_, bound) => resolve(bound)),
  );
  const link = await linkTo(t, port, undefined, 'blue', clock);
  const onRows = (): void => {
    clock.advance(4999);
    if (++pieces < 5) more();
    else clock.advance(5000);
  };
  await t.rejects(link.restore(onRows, 5000, 30_000), { message: 'the collector sent no rows for 5000 ms' });
  t.equal(pieces, 5);
  await link.restore(() => {}, 5000, 30_000);
  t.equal(clock.pending, 0, 'nobody waits any more');
});

async function linkTo(t: Test, port: number, token?: string, fleet = 'blue', timers: Timers = systemTimers) {
  const dir = mkdtempSync(join(tmpdir(), 'reeve-token-'));
  t.teardown(() => rmSync(dir, { recursive: true }));
  const tokenFile = token === undefined ? undefined : join(dir, 'token');
  if (tokenFile !== undefined) writeFileSync(tokenFile, `${token}\n`);
  const collector = { address: `localhost:${port}`, tls: undefined, tokenFile };
  const link = await connectKeeper(collector, fleet, systemClock, timers);
  t.teardown(() => link.close());
  return link;
}
