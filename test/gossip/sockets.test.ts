/** Five members over real UDP and TCP on the loopback interface. */
import { createSocket, type Socket as Datagrams } from 'node:dgram';
import { channel } from 'node:diagnostics_channel';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server } from 'node:net';
import t, { type Test } from 'tap';
import { systemClock, systemRandom, systemTimers, type Timer } from '../../src/core/index.ts';
import { Gossip, Keyring, openSocketTransport, staticSeeds, type Transport } from '../../src/gossip/index.ts';
import { Rows } from './rows.ts';

const keyring = new Keyring([Buffer.alloc(32, 7)]);

interface RealNode {
  readonly gossip: Gossip;
  readonly rows: Rows;
  readonly transport: Transport;
}

async function until(isDone: () => boolean, ms = 10_000): Promise<boolean> {
  const end = systemClock.now() + ms;
  while (!isDone() && systemClock.now() < end) await systemTimers.sleep(10);
  return isDone();
}

async function cluster(count: number): Promise<RealNode[]> {
  const transports = [];
  for (let i = 0; i < count; i++)
    transports.push(await openSocketTransport({ timers: systemTimers, host: '127.0.0.1', port: 0 }));
  const addresses = transports.map((each) => each.address);
  return transports.map((transport, i) => {
    const rows = new Rows();
    const gossip = new Gossip({
      clock: systemClock,
      timers: systemTimers,
      random: systemRandom,
      transport,
      delegate: rows,
      name: `real-${i}`,
      cluster: 'real',
      keyring,
      seeds: staticSeeds(addresses, true),
    });
    return { gossip, rows, transport };
  });
}

t.test('five members join, exchange, leave and crash over real sockets', async (t) => {
  const nodes = await cluster(5);
  t.teardown(() => Promise.all(nodes.map((each) => each.gossip.close())));
  const readied = nodes.map(({ gossip }) => new Promise<void>((resolve) => gossip.start(resolve)));
  await Promise.all(readied);
  const alive = (seenBy: RealNode): number => seenBy.gossip.members().filter((each) => each.state === 'alive').length;
  t.ok(await until(() => nodes.every((each) => alive(each) === 5)), 'all know all');
  t.ok(nodes.every(({ gossip }) => gossip.members().every((each) => each.isListed === true)));

  const [first, second, third] = nodes as [RealNode, RealNode, RealNode];
  for (let i = 0; i < 500; i++) first.rows.say(i % 200, i);
  first.gossip.nudge();
  const slotOf = (of: RealNode, seenBy: RealNode): number =>
    seenBy.gossip.members().find((each) => each.incarnation === of.gossip.self.incarnation)?.slot ?? -1;
  const others = nodes.slice(1);
  t.ok(await until(() => others.every((each) => each.rows.version(slotOf(first, each)) === 500)), 'all hold all rows');
  for (const each of others) t.same(each.rows.values(slotOf(first, each)), first.rows.values(0));

  const startMs = systemClock.now();
  await new Promise<void>((resolve) => second.gossip.leave(resolve));
  t.ok(systemClock.now() - startMs < 1100, 'leaving takes a second at most');
  const left = (each: RealNode): boolean => each.gossip.member(slotOf(second, each))?.state === 'left';
  t.ok(await until(() => nodes.filter((each) => each !== second).every(left), 1000), 'all know that it left');
  await second.gossip.close();

  await third.gossip.close();
  const living = nodes.filter((each) => each !== second && each !== third);
  const dead = (each: RealNode): boolean => each.gossip.member(slotOf(third, each))?.state === 'dead';
  t.ok(await until(() => living.every(dead), 6000), 'the crash is known');
  t.ok(living.every(({ gossip }) => gossip.members().filter((each) => each.state === 'alive').length === 3));
  t.ok(living.every(({ gossip }) => !gossip.isIsolated && gossip.expected === 5));
});

t.test('a request without a listener, without an answer or to no address fails', async (t) => {
  const one = await openSocketTransport({ timers: systemTimers, host: '127.0.0.1', port: 0, advertise: 'pod.local' });
  t.match(one.address, /^pod\.local:\d+$/);
  const ask = (to: string): Promise<Uint8Array | undefined> =>
    new Promise((resolve) => one.request(to, Buffer.from('hello'), resolve));
  t.equal(await ask('127.0.0.1:1'), undefined, 'nobody listens before listen');
  one.listen({ datagram() {}, request: (bytes) => (bytes.length === 5 ? Buffer.from('you') : undefined) });
  t.equal(await ask('127.0.0.1:1'), undefined);
  t.equal(await ask('nowhere'), undefined);
  const mute = createServer((socket) => socket.destroy()).listen(0, '127.0.0.1');
  await once(mute, 'listening');
  t.equal(await ask(`127.0.0.1:${(mute.address() as { port: number }).port}`), undefined);
  mute.close();
  one.send('nowhere', Buffer.from('x'));
  t.equal(`${await ask(one.address.replace('pod.local', '127.0.0.1'))}`, 'you');
  t.equal(
    await new Promise((resolve) =>
      one.request(one.address.replace('pod.local', '127.0.0.1'), Buffer.from('?'), resolve),
    ),
    undefined,
  );
  const asked = Array.from({ length: 40 }, () => ask(one.address.replace('pod.local', '127.0.0.1')));
  t.equal((await Promise.all(asked)).filter((each) => each === undefined).length, 8, 'at most 32 requests at once');
  await one.close();
  await one.close();
});

t.test('streams are bounded in length, number and time', async (t) => {
  let deadline: (() => void) | undefined;
  const after = (_: number, run: () => void): Timer => {
    deadline = run;
    return { cancel() {} };
  };
  const timers = { ...systemTimers, after };
  const one = await openSocketTransport({ timers, host: '127.0.0.1', port: 0 });
  t.teardown(() => one.close());
  one.listen({ datagram() {}, request: (bytes) => bytes });
  const port = Number(one.address.split(':')[1]);
  const open = async (bytes: Uint8Array): Promise<ReturnType<typeof connect>> => {
    const socket = connect(port, '127.0.0.1');
    socket.on('error', () => {});
    await once(socket, 'connect');
    socket.resume().write(bytes);
    return socket;
  };
  const long = await open(Buffer.from([0xff, 0xff, 0xff, 0xff]));
  await once(long, 'close');
  const behind = await open(Buffer.from([0, 0, 0, 1, 65, 66]));
  await once(behind, 'close');
  t.pass('too long, or more than announced: closed');

  const bytewise = await open(Buffer.from([0, 0]));
  await systemTimers.sleep(20);
  bytewise.write(Buffer.from([0, 2, 65]));
  await systemTimers.sleep(20);
  bytewise.pause();
  bytewise.write(Buffer.from([66]));
  await once(bytewise, 'readable');
  t.equal(`${bytewise.read().subarray(4)}`, 'AB', 'in pieces');

  const silent = await open(Buffer.from([0]));
  const closed = once(silent, 'close');
  await systemTimers.sleep(20);
  deadline?.();
  await closed;
  const first = await open(Buffer.from([0]));
  const evicted = once(first, 'close');
  const rest = [];
  for (let i = 0; i < 32; i++) rest.push(await open(Buffer.from([0])));
  await evicted;
  t.pass('the oldest of too many goes');
  const gone = rest.map((each) => once(each, 'close'));
  await one.close();
  await Promise.all(gone);
});

t.test('a port that is taken is an error; both families are understood', async (t) => {
  const one = await openSocketTransport({ timers: systemTimers, host: '127.0.0.1', port: 0 });
  const port = Number(one.address.split(':')[1]);
  await t.rejects(openSocketTransport({ timers: systemTimers, host: '127.0.0.1', port }), { code: 'EADDRINUSE' });
  const six = await openSocketTransport({ timers: systemTimers, host: '::', port: 0, advertise: '[::1]:9' });
  t.equal(six.address, '[::1]:9');
  const heard = new Promise<string>((resolve) => {
    one.listen({ datagram: (bytes, from) => resolve(`${bytes} ${from.split(':')[0]}`), request: () => undefined });
  });
  six.send(one.address, Buffer.from('early'));
  six.listen({ datagram() {}, request: () => undefined });
  six.send(one.address, Buffer.from('hi'));
  t.equal(await heard, 'hi 127.0.0.1');
  await Promise.all([one.close(), six.close()]);
});

/** Takes the port of UDP as soon as somebody listens there on TCP; at most so often. The ports it took. */
function takeDatagramPorts(t: Test, times: number): number[] {
  const taken: Datagrams[] = [];
  const ports: number[] = [];
  const onListen = (message: unknown): void => {
    if (taken.length === times) return;
    const { address, port } = (message as { server: Server }).server.address() as AddressInfo;
    // Nothing is looked up, so that it is bound before this returns.
    const one = createSocket({ type: 'udp4', lookup: (host, _options, done) => done(null, host, 4) });
    // A port that another process holds already is taken all the same.
    one.on('error', () => {});
    taken.push(one.bind(port, address));
    ports.push(port);
  };
  const listened = channel('tracing:net.server.listen:asyncEnd');
  listened.subscribe(onListen);
  t.teardown(() => {
    listened.unsubscribe(onListen);
    for (const one of taken) one.close();
  });
  return ports;
}

t.test('any port is one that is free for both, of eight; what was tried is closed', async (t) => {
  const opened: Datagrams[] = [];
  let closed = 0;
  const onSocket = (message: unknown): void => {
    const { socket } = message as { socket: Datagrams };
    opened.push(socket.on('close', () => closed++));
  };
  const tried = channel('udp.socket');
  const any = { timers: systemTimers, host: '127.0.0.1', port: 0 };
  const twice = takeDatagramPorts(t, 2);
  const one = await openSocketTransport(any);
  t.equal(twice.length, 2);
  t.notOk(twice.includes(Number(one.address.split(':')[1])), 'the third is free for both');

  const always = takeDatagramPorts(t, 9);
  tried.subscribe(onSocket);
  t.teardown(() => tried.unsubscribe(onSocket));
  await t.rejects(openSocketTransport(any), { code: 'EADDRINUSE' });
  t.equal(always.length, 8, 'and no more than eight');
  await one.close();
  t.equal(opened.length, 16, 'ours, and those that took the ports');
  t.ok(await until(() => closed === 8, 2000), 'ours are closed');
});
