/** One client connection, many requests: their order, and what becomes of them when one is refused, broken or left alone. */
import { createServer as createHttp } from 'node:http';
import { connect, createServer } from 'node:net';
import t from 'tap';
import { becomes } from '../helpers/processes.ts';
import { exchangeRaw } from '../helpers/raw-client.ts';
import { httpBackend, listening, sidecarForTest } from '../helpers/sidecar.ts';
import { tokenFor } from '../helpers/tokens.ts';

const NL = '\r\n';
const AUTH = `Authorization: Bearer ${tokenFor('org_acme')}`;
const request = (line: string, fields = ''): string =>
  `${line} HTTP/1.1${NL}Host: a${NL}${AUTH}${NL}${fields === '' ? '' : fields + NL}${NL}`;

t.test('pipelined requests are served one after the other', async (t) => {
  const seen: string[] = [];
  let atOnce = 0;
  const upstream = await httpBackend(t, (req, res) => {
    seen.push(req.url as string);
    if (++atOnce > 1) seen.push('two at once');
    setTimeout(() => res.end(`answer to ${req.url}`, () => atOnce--), 30);
  });
  const sidecar = await sidecarForTest(t, upstream);
  const ask = async (bytes: string, responses: number) => {
    seen.length = 0;
    return (await exchangeRaw(sidecar.port, bytes, { responses, waitMs: 1000 })).responses;
  };
  const many = Array.from({ length: 40 }, (_, at) => `/${at}`);
  const answers = await ask(many.map((each) => request(`GET ${each}`)).join(''), 40);
  t.same(seen, many, 'in their order, also more than may stand in line');
  t.same(
    answers.map((each) => each.body),
    many.map((each) => `answer to ${each}`),
  );

  const refused = await ask(request('GET /1') + request('GET /x#y') + request('GET /hidden'), 3);
  t.same(
    refused.map((each) => each.status),
    [200, 400],
  );
  t.same(seen, ['/1'], 'behind a refusal nothing is served');

  const broken = await ask(`${request('GET /1')}GARBAGE${NL}${NL}`, 2);
  t.same(
    broken.map((each) => each.status),
    [200, 400],
    'what was asked before the broken bytes gets its own answer',
  );

  const chunked = 'Transfer-Encoding: chunked';
  for (const body of [`0x1${NL}x${NL}0${NL}${NL}`, `1\nx\n0\n\n`]) {
    const inBody = await ask(request('GET /1') + request('PATCH /2', chunked) + body, 2);
    t.same(
      inBody.map((each) => each.status),
      [200, 400],
      'one that is broken in its content is not waited for',
    );
  }
  const judged = `PATCH /2 HTTP/2.0${NL}Host: a${NL}${chunked}${NL}${NL}0${NL}A: b${NL} c${NL}${NL}`;
  const whole = await exchangeRaw(sidecar.port, request('GET /1') + judged, { waitMs: 1000 });
  t.same(
    [whole.responses.map((each) => each.status), whole.end],
    [[200, 400], 'closed'],
    'an answer that was whole is not reset for what is broken behind it',
  );

  const last = await ask(request('GET /1', 'Connection: close') + request('GET /2'), 2);
  t.same(
    [last.map((each) => each.status), seen],
    [[200], ['/1']],
    'behind the last request nothing is served, or said',
  );

  const connecting = await ask(request('GET /1') + request('CONNECT b:80'), 2);
  t.same(
    connecting.map((each) => each.status),
    [200, 501],
  );

  const cut = await ask(`${request('POST /1', 'Transfer-Encoding: chunked')}zz${NL}`, 1);
  t.same(
    cut.map((each) => each.status),
    [400],
    'a broken body is answered at once',
  );
});

t.test('an upgrade waits for the answers before it', async (t) => {
  const server = createHttp((_req, res) => void setTimeout(() => res.end('first'), 50));
  server.on('upgrade', (_req, socket) =>
    socket.end(`HTTP/1.1 101 S${NL}Upgrade: x${NL}Connection: Upgrade${NL}${NL}tunnel`),
  );
  const sidecar = await sidecarForTest(t, `http://127.0.0.1:${await listening(t, server)}`);
  const { text } = await exchangeRaw(
    sidecar.port,
    request('GET /') + request('GET /', `Connection: Upgrade${NL}Upgrade: x`),
    {
      waitMs: 1000,
    },
  );
  t.match(text, /^HTTP\/1\.1 200 OK[\s\S]*first[\s\S]*HTTP\/1\.1 101 [\s\S]*tunnel$/);
});

t.test('a client that leaves takes its pipelined requests with it', async (t) => {
  const seen: string[] = [];
  const upstream = await httpBackend(t, (req) => void seen.push(req.url as string));
  const sidecar = await sidecarForTest(t, upstream);
  const socket = connect(sidecar.port, '127.0.0.1');
  socket.write(['/1', '/2', '/3'].map((each) => request(`GET ${each}`)).join(''));
  t.ok(await becomes(() => seen.length > 0));
  socket.destroy();
  const traffic = async (): Promise<string> =>
    (await fetch(`http://127.0.0.1:${sidecar.ports.admin}/v1/traffic`)).text();
  t.ok(await becomes(async () => /"connections": ?0,\s*"inFlight": ?0/.test(await traffic())));
  t.same(seen, ['/1']);
});

t.test('an answer before the end of a long body arrives whole', async (t) => {
  const upstream = await httpBackend(t, (req, res) =>
    req.url === '/early' ? void res.writeHead(403).end('no') : undefined,
  );
  const sidecar = await sidecarForTest(t, upstream, { settings: { 'wire.bodyBytesMax': '1MiB' } });
  const upload = (path: string, bytes: number): Promise<string> =>
    new Promise((resolve) => {
      let text = '';
      const socket = connect(sidecar.port, '127.0.0.1');
      socket.on('error', () => {}).on('data', (chunk) => (text += chunk.toString()));
      socket.on('close', () => resolve(text));
      socket.write(request(`POST ${path}`, `Connection: close${NL}Content-Length: ${bytes}`));
      socket.write(Buffer.alloc(bytes, 'x'));
    });
  for (let i = 0; i < 5; i++) t.match(await upload('/', 8_000_000), /^HTTP\/1\.1 413 [\s\S]*body-too-large/);
  for (let i = 0; i < 5; i++) t.match(await upload('/early', 1_000_000), /^HTTP\/1\.1 403 [\s\S]*no/);
  const kept = await exchangeRaw(
    sidecar.port,
    `${request('POST /early', 'Content-Length: 3')}abc${request('GET /early')}`,
    {
      responses: 2,
      waitMs: 1000,
    },
  );
  t.equal(kept.responses.length, 2, 'a short one is read to its end and the connection kept');
  const endless = connect(sidecar.port, '127.0.0.1');
  endless.on('error', () => {}).resume();
  endless.write(request('POST /', 'Content-Length: 8000000'));
  const began = performance.now();
  await new Promise((resolve) => endless.once('close', resolve));
  t.ok(performance.now() - began < 3000, 'who does not send the rest is not waited for long');
});

t.test('an application that knows nothing of Expect gets the body when the client sends it', async (t) => {
  const upstream = createServer((socket) => {
    let all = '';
    socket
      .on('error', () => {})
      .on('data', (chunk) => {
        all += chunk.toString();
        if (all.endsWith('abc')) socket.write(`HTTP/1.1 200 OK${NL}Content-Length: 2${NL}${NL}ok`);
      });
  });
  const sidecar = await sidecarForTest(t, `http://127.0.0.1:${await listening(t, upstream)}`);
  const { responses } = await exchangeRaw(
    sidecar.port,
    `${request('POST /', `Expect: 100-continue${NL}Content-Length: 3`)}abc`,
    {
      responses: 1,
      waitMs: 2000,
    },
  );
  t.equal(responses[0]?.status, 200);
});

t.test('who waits for a slow answer is not idle', async (t) => {
  const upstream = await httpBackend(t, (_req, res) => void setTimeout(() => res.end('late'), 1500));
  const sidecar = await sidecarForTest(t, upstream, {
    settings: { 'wire.idleTimeout': '500ms', 'wire.responseTimeout': '5s' },
  });
  const { responses } = await exchangeRaw(sidecar.port, request('GET /'), { responses: 1, waitMs: 3000 });
  t.equal(responses[0]?.body, 'late');
});
