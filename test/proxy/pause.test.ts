/** Traffic that pauses, and a collection meanwhile: what V8 compiled for it is there when it comes back. */
import { globSync, readFileSync } from 'node:fs';
import { connect, createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import t from 'tap';
import { heldProbe } from '../helpers/held.ts';
import { becomes } from '../helpers/processes.ts';
import { childSidecar, listening, root, settings } from '../helpers/sidecar.ts';
import { makeTenancy } from '../helpers/tenancy.ts';
import { tokenFor } from '../helpers/tokens.ts';

const NL = '\r\n';
const GET = `GET / HTTP/1.1${NL}Host: a${NL}Authorization: Bearer ${tokenFor('org_acme')}${NL}${NL}`;
const ANSWERS = [
  `HTTP/1.1 200 OK${NL}Content-Length: 2${NL}${NL}ok`,
  `HTTP/1.1 200 OK${NL}Transfer-Encoding: chunked${NL}${NL}2${NL}ok${NL}0${NL}${NL}`,
];
const CONNECTIONS = 8;
/** Enough that nearly all of the way is compiled by the last of V8's compilers. */
const REQUESTS = 40_000;
const OWN: readonly RegExp[] = [
  /^ {2}(?:get |readonly |async )*(#?\w+)(?:\(|: \(| = \()/gm,
  /^(?:export )?(?:async )?function (\w+)/gm,
  /^export class (\w+)/gm,
];
const THROWN_AWAY = /<SharedFunctionInfo (?:get )?(\S+)>.*embedded weak objects cleared/;

t.test('a pause throws away no code of the fast engine', { timeout: 60_000 }, async (t) => {
  const sockets: Socket[] = [];
  const upstream = createServer((socket) => {
    sockets.push(socket);
    let answered = 0;
    socket.on('error', () => {}).on('data', () => socket.write(ANSWERS[answered++ % 2] as string));
  });
  const tenancy = makeTenancy();
  t.teardown(tenancy.cleanUp);
  const probe = heldProbe(t);
  const sidecar = await childSidecar(
    t,
    settings(`http://127.0.0.1:${await listening(t, upstream)}`, tenancy, { 'wire.fastPath': 'true' }),
    { env: probe.env, nodeArgs: [...probe.nodeArgs, '--trace-deopt'] },
  );
  const { inbound } = sidecar.ports;
  await Promise.all(Array.from({ length: CONNECTIONS }, () => exchanges(inbound, REQUESTS / CONNECTIONS)));
  for (const socket of sockets) socket.destroy();
  const before = sidecar.lines.length;
  // A hidden class outlives two collections without an object, six happen here.
  for (let i = 0; i < 2; i++) await probe.of(sidecar.child);
  const said = sidecar.lines.slice(before).flatMap((line) => THROWN_AWAY.exec(line)?.[1] ?? []);
  await exchanges(inbound, 10);
  const own = ownFunctions();
  t.ok(own.size > 500, `${own.size} functions`);
  t.same(
    said.filter((name) => own.has(name)),
    [],
    `thrown away in all: ${said.join(', ')}`,
  );
});

async function exchanges(port: number, count: number): Promise<void> {
  const socket = connect(port, '127.0.0.1');
  let left = count;
  socket.on('data', (chunk) => {
    if (!chunk.includes('ok')) return;
    if (--left === 0) socket.destroy();
    else socket.write(GET);
  });
  socket.write(GET);
  if (!(await becomes(() => left === 0, 30_000))) throw new Error(`${left} of ${count} exchanges are missing`);
}

/** What the rooms are made of that a request passes, and Node's function that serves the pool. */
function ownFunctions(): ReadonlySet<string> {
  const names = new Set<string>(['processImmediate']);
  for (const room of ['core', 'identity', 'limits', 'pipeline', 'proxy', 'proxy/fast', 'wire']) {
    for (const file of globSync(`src/${room}/*.ts`, { cwd: root })) {
      const text = readFileSync(join(root, file), 'utf8');
      for (const pattern of OWN) for (const [, name] of text.matchAll(pattern)) names.add(name as string);
    }
  }
  return names;
}
