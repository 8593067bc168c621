/** The streams over real gRPC: a good sidecar, and others. */
import { readFileSync } from 'node:fs';
import { credentials } from '@grpc/grpc-js';
import t, { type Test } from 'tap';
import { openGrpcServer, type TlsFiles } from '../../src/collector/grpc-server.ts';
import { Collector, SegmentLedger } from '../../src/collector/index.ts';
import { systemClock, systemTimers, type Timers } from '../../src/core/index.ts';
import { silentLog } from '../../src/telemetry/index.ts';
import { MemoryDisk } from '../metering/memory-disk.ts';
import { GrpcClient } from './grpc-client.ts';
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
  const server = await openGrpcServer({
    host: '127.0.0.1',
    port: 0,
    timers: o.timers ?? systemTimers,
    tls: o.tls,
    tokens: () => o.tokens ?? [],
    session: (line) => collector.session(line),
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
  const o = { host: '127.0.0.1', timers: systemTimers, tokens: () => [], session: () => t.fail() as never };
  await t.rejects(openGrpcServer({ ...o, port: server.port, tls: undefined }), {
    code: 'listen-failed',
    remedy: /--grpc-port/,
  });
  const tls = { cert: fixture('server.crt'), key: Buffer.from('none'), clientCa: undefined };
  await t.rejects((async () => openGrpcServer({ ...o, port: 0, tls }))(), { code: 'listen-failed' });
});
