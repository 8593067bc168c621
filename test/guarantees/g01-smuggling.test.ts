/**
 * G1: no request is read in two ways. Every payload goes through a real sidecar to a real backend, on a connection of its own, with a
 * second, marked request hidden in it where the form allows. The judge is the backend: what it executed must be what the sidecar
 * accepted. The hidden request carries no credential, so the sidecar never accepts it: when a backend executes it, that is a
 * desync, and so is a request that is executed twice.
 *
 * That the corpus can find a desync is shown with `http-proxy`.
 */
import { createServer } from 'node:http';
import httpProxy from 'http-proxy';
import t from 'tap';
import { type Backend, haproxyBackend, nginxBackend, nodeBackend } from '../helpers/backends.ts';
import { exchangeRaw } from '../helpers/raw-client.ts';
import { engine, listening, sidecarForTest } from '../helpers/sidecar.ts';
import { type Payload, payloads } from '../helpers/smuggling.ts';
import { tokenFor } from '../helpers/tokens.ts';

const AT_ONCE = 48;
/** Without a byte for so long, and the connection open: nothing more comes. Less cuts answers off on a busy machine. */
const WAIT_MS = 200;

interface Judged {
  desyncs: string[];
  crashes: number;
  accepted: number;
  refused: number;
}

async function judge(port: number, backend: Backend, all: readonly Payload[], authorization: string): Promise<Judged> {
  const judged: Judged = { desyncs: [], crashes: 0, accepted: 0, refused: 0 };
  let next = 0;
  const worker = async (): Promise<void> => {
    for (let at = next++; at < all.length; at = next++) {
      const { name, bytes, marker } = all[at] as Payload;
      const { responses } = await exchangeRaw(port, bytes(authorization), { waitMs: WAIT_MS, responses: 3 });
      const answers = responses.filter((each) => each.status >= 200);
      const good = answers.filter((each) => each.status < 300).length;
      if (answers.some((each) => each.status === 500)) judged.crashes++;
      if (good > 0) judged.accepted++;
      else judged.refused++;
      expected.push({ name, marker });
    }
  };
  const expected: { name: string; marker: string }[] = [];
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
  const executed = await backend.executed();
  for (const { name, marker } of expected) {
    const visible = executed.filter((path) => path.includes(`${marker}visible`)).length;
    const hidden = executed.filter((path) => path.includes(`${marker}hidden`)).length;
    if (hidden > 0 || visible > 1) judged.desyncs.push(`${name}: ${visible} visible and ${hidden} hidden executed`);
  }
  return judged;
}

t.test('no payload makes a backend execute what the sidecar did not accept', async (t) => {
  const all = payloads();
  t.ok(all.length >= 1000, `${all.length} payloads`);
  const backends: Backend[] = [await nodeBackend(t)];
  for (const open of [nginxBackend, haproxyBackend]) {
    const backend = await open(t);
    if (backend.isMissing) t.comment(`missing: ${backend.name} is not installed (apt-get install ${backend.name})`);
    else backends.push(backend);
  }
  let desyncs = 0;
  for (const backend of backends) {
    const sidecar = await sidecarForTest(t, backend.url);
    const judged = await judge(sidecar.port, backend, all, `Authorization: Bearer ${tokenFor('org_acme')}`);
    desyncs += judged.desyncs.length;
    t.same(judged.desyncs, [], backend.name);
    t.equal(judged.crashes, 0, 'no payload reaches a defect');
    t.ok(
      judged.accepted > all.length / 20 && judged.refused > all.length / 4,
      `${judged.accepted} accepted, ${judged.refused} refused`,
    );
  }
  t.comment(
    `G01 smuggling, ${engine} engine: ${desyncs} desyncs in ${all.length} payloads × ${backends.length} backends (${backends.map((each) => each.name).join(', ')})`,
  );
});

t.test('the corpus finds desyncs where there are some: http-proxy with keep-alive', async (t) => {
  const backend = await nodeBackend(t);
  const { Agent } = await import('node:http');
  const proxy = httpProxy.createProxyServer({ target: backend.url, agent: new Agent({ keepAlive: true }) });
  proxy.on('error', (_cause, _req, res) => void ('writeHead' in res ? res.writeHead(502).end() : res.destroy()));
  const port = await listening(
    t,
    createServer((req, res) => proxy.web(req, res)),
  );
  const some = payloads().filter(({ name }) => name.startsWith('hidden in a chunked body'));
  const judged = await judge(port, backend, some, 'X-Nothing: 1');
  t.ok(judged.desyncs.length > 0, `${judged.desyncs.length} desyncs`);
  t.comment(
    `figure: http-proxy 1.18.1 on ${some.length} payloads of the same corpus: ${judged.desyncs.length} desyncs`,
  );
});
