/** A socket's handle without streams on it, with a real peer on the other side. */
import { connect, createServer, type Socket } from 'node:net';
import t from 'tap';
import { ByteSocket } from '../../src/proxy/fast/byte-socket.ts';
import { becomes } from '../helpers/processes.ts';
import { type Ending, listening } from '../helpers/sidecar.ts';

interface Pair {
  readonly socket: Socket;
  readonly peer: Socket;
  readonly bytes: ByteSocket;
  /** What was told, read by read. */
  readonly told: string[];
  drains: number;
  readonly shared: Buffer;
}

async function pairOf(t: Ending): Promise<Pair> {
  const shared = Buffer.alloc(64 * 1024);
  const { promise, resolve } = Promise.withResolvers<Pair>();
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    const told: string[] = [];
    const owner = {
      onBytes(read: Buffer, length: number) {
        told.push(read.toString('latin1', 0, length));
      },
      onDrain: () => void pair.drains++,
    };
    const bytes = new ByteSocket(socket, shared, owner);
    const pair: Pair = { socket, peer, bytes, told, drains: 0, shared };
    socket.on('error', () => {});
    resolve(pair);
  });
  const port = await listening(t, server);
  const peer = connect(port, '127.0.0.1').on('error', () => {});
  t.teardown(async () => {
    const { socket } = await promise;
    socket.destroy();
    peer.destroy();
  });
  return await promise;
}

t.test('what is read is told from the shared buffer, and an end as the socket has it', async (t) => {
  const { socket, peer, told, bytes } = await pairOf(t);
  let isEnded = false;
  socket.on('end', () => {
    isEnded = true;
  });
  peer.write('one');
  t.ok(await becomes(() => told.join('') === 'one'));
  peer.end('two');
  t.ok(await becomes(() => isEnded));
  t.equal(told.join(''), 'onetwo');
  let answer = '';
  peer.on('data', (chunk) => {
    answer += chunk;
  });
  t.equal(bytes.write(Buffer.from('still open this way')), true);
  t.ok(await becomes(() => answer === 'still open this way'));
});

t.test('what the kernel does not take is waited for, in its order', async (t) => {
  const pair = await pairOf(t);
  const { peer, bytes } = pair;
  const part = (at: number): Buffer => Buffer.alloc(32 * 2 ** 20, at);
  peer.pause();
  t.equal(bytes.write(part(1)), false);
  t.equal(bytes.isFlushed, false);
  t.equal(bytes.write(part(2)), false, 'one more waits behind it');
  t.equal(pair.drains, 0);
  const read: Buffer[] = [];
  peer.on('data', (chunk) => read.push(chunk)).resume();
  t.ok(await becomes(() => pair.drains === 1, 20_000), 'told once, when all is with the kernel');
  t.equal(bytes.isFlushed, true);
  t.ok(await becomes(() => read.reduce((sum, each) => sum + each.length, 0) === 64 * 2 ** 20, 20_000));
  t.ok(Buffer.concat(read).equals(Buffer.concat([part(1), part(2)])));
});

t.test('paused, it reads nothing more', async (t) => {
  const { peer, told, bytes } = await pairOf(t);
  peer.write('a');
  t.ok(await becomes(() => told.length === 1));
  bytes.pause();
  bytes.pause();
  peer.write('b');
  t.notOk(await becomes(() => told.length > 1, 100));
  bytes.resume();
  bytes.resume();
  t.ok(await becomes(() => told.join('') === 'ab'));
});

t.test('a peer that is gone ends it, and neither a write nor a pause after that throws', async (t) => {
  const pair = await pairOf(t);
  const { socket, peer, bytes } = pair;
  const closed = new Promise((resolve) => socket.once('close', resolve));
  bytes.pause();
  peer.resetAndDestroy();
  // The reset is not read: the first writes are what meets it.
  t.ok(
    await becomes(() => {
      bytes.write(Buffer.from('x'));
      return socket.destroyed;
    }),
  );
  await closed;
  t.equal(bytes.write(Buffer.from('x')), true);
  bytes.resume();
  bytes.pause();
  t.equal(pair.drains, 0);
});

t.test('a write that is under way when it is destroyed tells nothing', async (t) => {
  const pair = await pairOf(t);
  pair.peer.pause();
  t.equal(pair.bytes.write(Buffer.alloc(64 * 2 ** 20)), false);
  const closed = new Promise((resolve) => pair.socket.once('close', resolve));
  pair.socket.destroy();
  await closed;
  t.notOk(await becomes(() => pair.drains > 0, 50));
});

t.test('released, it is a stream again, whose bytes are its own', async (t) => {
  const { socket, peer, told, bytes, shared } = await pairOf(t);
  peer.write('first');
  t.ok(await becomes(() => told.length === 1));
  bytes.pause();
  bytes.release();
  const chunks: Buffer[] = [];
  let isEnded = false;
  socket
    .on('data', (chunk) => chunks.push(chunk))
    .on('end', () => {
      isEnded = true;
    });
  peer.write('second');
  t.ok(await becomes(() => chunks.length === 1));
  shared.fill('x');
  peer.end('third');
  t.ok(await becomes(() => isEnded));
  t.equal(Buffer.concat(chunks).toString(), 'secondthird');
  t.same(told, ['first']);
  socket.pause();
});

t.test('a write that fails later ends it as well', async (t) => {
  const pair = await pairOf(t);
  const closed = new Promise((resolve) => pair.socket.once('close', resolve));
  pair.peer.pause();
  pair.bytes.pause();
  t.equal(pair.bytes.write(Buffer.alloc(64 * 2 ** 20)), false);
  pair.peer.resetAndDestroy();
  await closed;
  t.equal(pair.drains, 0);
});

t.test('its end waits for what was written', async (t) => {
  const { socket, peer, bytes } = await pairOf(t);
  const whole = 64 * 2 ** 20;
  peer.pause();
  t.equal(bytes.write(Buffer.alloc(whole)), false);
  socket.destroySoon();
  let read = 0;
  const ended = new Promise((resolve) => peer.once('end', resolve));
  peer.on('data', (chunk) => {
    read += chunk.length;
  });
  peer.resume();
  await ended;
  t.equal(read, whole);
});

t.test('a socket that was connected reads nothing before it is one', async (t) => {
  const server = createServer((socket) => void socket.end('at once'));
  const port = await listening(t, server);
  const told: string[] = [];
  const socket = connect(port, '127.0.0.1');
  const ended = new Promise((resolve) => socket.once('end', resolve));
  socket.once('connect', () => {
    new ByteSocket(socket, Buffer.alloc(1024), {
      onBytes: (read, length) => void told.push(read.toString('latin1', 0, length)),
      onDrain: () => {},
    });
  });
  await ended;
  t.same(told, ['at once']);
});
