/** G30: nothing that arrives, from clients or from the upstream, ends the process or reaches a defect. A real child process takes all of it. */
import { createServer } from 'node:net';
import t from 'tap';
import { exchangeRaw } from '../helpers/raw-client.ts';
import { scaled, seeded } from '../helpers/scale.ts';
import { childSidecar, engine, listening, settings } from '../helpers/sidecar.ts';
import { payloads } from '../helpers/smuggling.ts';
import { makeTenancy } from '../helpers/tenancy.ts';
import { tokenFor } from '../helpers/tokens.ts';

const NL = '\r\n';
const FUZZ = scaled(600);
const SEED = 20_261_124;

/** Answers no server should give. */
const ANSWERS: readonly string[] = [
  `HTTP/1.1 099 Low${NL}Content-Length: 0${NL}${NL}`,
  `HTTP/1.1 000 Zero${NL}${NL}`,
  `HTTP/1.1 999 High${NL}Content-Length: 0${NL}${NL}`,
  `HTTP/1.1 600 Odd${NL}Content-Length: 0${NL}${NL}`,
  `HTTP/1.1 20 Short${NL}${NL}`,
  `HTTP/1.1 2000 Long${NL}${NL}`,
  `HTTP/1.1 200 bad\x01reason${NL}Content-Length: 0${NL}${NL}`,
  `HTTP/1.1 200 \xff\xfe${NL}Content-Length: 0${NL}${NL}`,
  `HTTP/1.1 200 OK${NL}Content-Length: 5${NL}Transfer-Encoding: chunked${NL}${NL}0${NL}${NL}`,
  `HTTP/1.1 200 OK${NL}Content-Length: 5${NL}Content-Length: 6${NL}${NL}hello`,
  `HTTP/1.1 200 OK${NL}Content-Length: -1${NL}${NL}`,
  `HTTP/1.1 200 OK${NL}Transfer-Encoding: gzip, chunked${NL}${NL}0${NL}${NL}`,
  `HTTP/1.1 101 Switching${NL}Upgrade: x${NL}Connection: upgrade${NL}${NL}junk`,
  `HTTP/1.1 100 Continue${NL}${NL}HTTP/1.1 200 OK${NL}Content-Length: 0${NL}${NL}`,
  `HTTP/1.1 103 Early Hints${NL}Link: </a>; rel=preload${NL}${NL}HTTP/1.1 200 OK${NL}Content-Length: 0${NL}${NL}`,
  `HTTP/1.1 103 Early Hints${NL}Link: not a link${NL}${NL}HTTP/1.1 200 OK${NL}Content-Length: 0${NL}${NL}`,
  `HTTP/1.1 102 Processing${NL}${NL}`.repeat(50),
  `HTTP/1.1 200 OK${NL}${`X-${'a'.repeat(100)}: b${NL}`.repeat(900)}${NL}`,
  `HTTP/1.1 200 OK${NL}${`a: b${NL}`.repeat(1100)}Content-Length: 0${NL}${NL}`,
  `HTTP/1.1 200 OK${NL}X: ${'y'.repeat(200_000)}${NL}${NL}`,
  `HTTP/1.1 200 OK${NL}X: a\0b${NL}${NL}`,
  `HTTP/1.1 200 OK${NL}X\x7f: a${NL}${NL}`,
  `HTTP/1.1 200 OK${NL} folded: x${NL}${NL}`,
  `HTTP/1.1 204 No Content${NL}Content-Length: 5${NL}${NL}hello`,
  `HTTP/1.1 304 Not Modified${NL}Content-Length: 5${NL}${NL}`,
  `HTTP/1.1 205 Reset${NL}Content-Length: 5${NL}${NL}hello`,
  `HTTP/1.1 200 OK${NL}Transfer-Encoding: chunked${NL}${NL}zz${NL}`,
  `HTTP/1.1 200 OK${NL}Transfer-Encoding: chunked${NL}${NL}ffffffffffffffff${NL}`,
  `HTTP/1.1 200 OK${NL}Content-Length: 2${NL}${NL}ok and a lot more that nobody asked for`,
  `HTTP/2 200${NL}${NL}`,
  `SSH-2.0-x${NL}`,
  '',
  '\0\0\0\0',
  `HTTP/1.1 200 OK${NL}Content-Length: 2${NL}${NL}okHTTP/1.1 200 OK${NL}Content-Length: 2${NL}${NL}no`,
  `HTTP/1.1 200 OK${NL}__proto__: x${NL}constructor: y${NL}Content-Length: 0${NL}${NL}`,
  `HTTP/1.0 200 OK${NL}${NL}until the end`,
  `HTTP/1.1 407 Proxy${NL}Proxy-Authenticate: Basic${NL}Content-Length: 0${NL}${NL}`,
  `HTTP/1.1 426 Upgrade${NL}Upgrade: h2c${NL}Connection: upgrade${NL}Content-Length: 0${NL}${NL}`,
];

t.test(
  'every payload, broken answer and random byte: the process lives and has no defect',
  { timeout: 120_000 },
  async (t) => {
    let answer = '';
    const upstream = createServer((socket) => {
      socket.on('error', () => {});
      socket.on('data', () => socket.write(Buffer.from(answer, 'latin1'), () => socket.end()));
    });
    const tenancy = makeTenancy();
    t.teardown(() => tenancy.cleanUp());
    const upstreamUrl = `http://127.0.0.1:${await listening(t, upstream)}`;
    const sidecar = await childSidecar(
      t,
      settings(upstreamUrl, tenancy, { 'anonymous.limit': '100000/s', 'log.access': 'off' }),
    );
    const { inbound, status, admin } = sidecar.ports;
    const auth = `Authorization: Bearer ${tokenFor('org_acme')}`;
    let sent = 0;
    const send = async (bytes: string): Promise<void> => {
      sent++;
      await exchangeRaw(inbound, bytes, { waitMs: 30, responses: 1 });
    };
    for (answer of ANSWERS) {
      for (const head of [
        `GET / HTTP/1.1${NL}Host: a${NL}${auth}${NL}${NL}`,
        `HEAD / HTTP/1.1${NL}Host: a${NL}${auth}${NL}${NL}`,
        `POST / HTTP/1.1${NL}Host: a${NL}${auth}${NL}Expect: 100-continue${NL}Content-Length: 1${NL}${NL}x`,
        `GET / HTTP/1.1${NL}Host: a${NL}${auth}${NL}Connection: Upgrade${NL}Upgrade: websocket${NL}${NL}`,
        `POST / HTTP/1.1${NL}Host: a${NL}${auth}${NL}Transfer-Encoding: chunked${NL}Trailer: X${NL}${NL}0${NL}X: 1${NL}${NL}`,
      ])
        await send(head);
    }
    answer = `HTTP/1.1 200 OK${NL}Content-Length: 2${NL}${NL}ok`;
    const all = payloads();
    for (let at = 0; at < all.length; at += 24)
      await Promise.all(all.slice(at, at + 24).map(({ bytes }) => send(bytes(auth))));
    const random = seeded(SEED);
    const base = `POST /x?y=1 HTTP/1.1${NL}Host: a${NL}${auth}${NL}Content-Length: 3${NL}X-A: b${NL}${NL}abc`;
    for (let at = 0; at < FUZZ; at += 24) {
      await Promise.all(
        Array.from({ length: 24 }, () => {
          const bytes = Buffer.from(base, 'latin1');
          for (let flips = 1 + Math.floor(random() * 4); flips > 0; flips--)
            bytes[Math.floor(random() * bytes.length)] = Math.floor(random() * 256);
          return send(bytes.toString('latin1'));
        }),
      );
    }
    for (const port of [status, admin])
      for (const form of [
        'GARBAGE\r\n\r\n',
        'GET /%%% HTTP/1.1\r\nHost: localhost\r\n\r\n',
        'GET //x:y@z HTTP/1.1\r\nHost: localhost\r\n\r\n',
        'POST /metrics HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n',
      ])
        await exchangeRaw(port, form, { waitMs: 30, responses: 1 });
    t.equal(sidecar.child.exitCode, null, sidecar.lines.slice(-5).join(''));
    const metrics = await (await fetch(`http://127.0.0.1:${status}/metrics`)).text();
    t.match(metrics, /reeve_engine_defects_total 0\n/, 'no defect in the engine');
    t.notMatch(metrics, /reeve_stage_failures_total\{/, 'no stage threw');
    t.equal(
      sidecar.lines.filter((line) => /uncaught|unhandled|Error:/i.test(line)).length,
      0,
      'nothing uncaught on standard error',
    );
    const alive = await exchangeRaw(inbound, `GET / HTTP/1.1${NL}Host: a${NL}${auth}${NL}${NL}`, { responses: 1 });
    t.equal(alive.responses[0]?.status, 200, 'and it still works');
    t.comment(`G30 never dies, ${engine} engine: ${sent} hostile requests and answers (seed ${SEED}), 0 uncaught`);
  },
);
