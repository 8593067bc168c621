/**
 * G4: what is about one connection ends there: in requests, responses, trailers, upgrades, the 101 and a refusal of an upgrade. Each case puts a
 * mark of its own into a field that must not go on and another into one that must; the judge reads the bytes of the other side.
 */
import { createServer } from 'node:net';
import t from 'tap';
import { exchangeRaw } from '../helpers/raw-client.ts';
import { engine, listening, sidecarForTest } from '../helpers/sidecar.ts';
import { tokenFor } from '../helpers/tokens.ts';

const NL = '\r\n';
const HEAD = `Host: a${NL}Authorization: Bearer ${tokenFor('org_acme')}${NL}`;
const WEBSOCKET = `Upgrade: websocket${NL}Connection: Upgrade${NL}`;
const OK = `HTTP/1.1 200 OK${NL}Content-Length: 0${NL}${NL}`;

type Way = 'request' | 'request trailer' | 'response' | 'response trailer' | 'upgrade' | '101' | 'refused upgrade';

interface Case {
  readonly way: Way;
  readonly name: string;
  /** `%` is where the mark stands that must not go on. */
  readonly fields: string;
}

/** RFC 9110 §7.6.1, and the fields that browsers and old proxies made up. */
const SINGLE = [
  'Keep-Alive: timeout=%',
  'Proxy-Connection: %',
  'Proxy-Authenticate: Basic realm="%"',
  'Proxy-Authorization: Basic %',
  'TE: %;q=0.5',
  'TE: trailers, %',
  'HTTP2-Settings: %',
  'Connection: %',
];
/** Only where nothing is upgraded: there the one Upgrade field is the point. */
const NOT_UPGRADING = ['Upgrade: %', 'Upgrade: h2c, %/1', 'Trailer: %'];
const NOMINATED = [
  `Connection: X-Hop${NL}X-Hop: %`,
  `Connection: x-hop${NL}X-HOP: %`,
  `X-Hop: %${NL}Connection: X-Hop`,
  `Connection: close, X-Hop${NL}X-Hop: %`,
  `Connection: X-Other , ,\tX-Hop${NL}X-Hop: %`,
  `Connection: X-Other${NL}Connection: X-Hop${NL}X-Hop: %`,
  `Connection: X-Hop${NL}X-Hop: %${NL}X-Hop: %`,
];
const TRAILERS = SINGLE.filter((each) => !each.startsWith('Connection'));

const rows = (way: Way, fields: readonly string[]): Case[] => fields.map((each) => ({ way, name: each, fields: each }));
const inCase = (fields: readonly string[]): string[] => [
  ...fields,
  ...fields.map((each) => each.replace(/^[^:]+/, (name) => name.toUpperCase())),
];

const CASES: readonly Case[] = [
  ...rows('request', [...inCase([...SINGLE, ...NOT_UPGRADING]), ...NOMINATED]),
  ...rows('response', [...inCase([...SINGLE, ...NOT_UPGRADING]), ...NOMINATED]),
  ...rows('request trailer', TRAILERS),
  ...rows('response trailer', TRAILERS),
  ...rows('upgrade', [...SINGLE, 'Trailer: %', ...NOMINATED]),
  ...rows('101', [...SINGLE, 'Trailer: %', ...NOMINATED]),
  ...rows('refused upgrade', [...SINGLE, ...NOT_UPGRADING, ...NOMINATED]),
];

/** What the client sends and what the upstream answers; the fields stand in one of the two. */
function messages(way: Way, fields: string, end: string): { request: string; answer: string } {
  const plain = `GET / HTTP/1.1${NL}${HEAD}`;
  const upgrade = `${plain}${WEBSOCKET}`;
  const chunked = `Transfer-Encoding: chunked${NL}${NL}1${NL}x${NL}0${NL}${fields}${end}${NL}`;
  switch (way) {
    case 'request':
      return { request: `${plain}${fields}${end}${NL}`, answer: OK };
    case 'request trailer':
      return { request: `POST / HTTP/1.1${NL}${HEAD}Trailer: X-End${NL}${chunked}`, answer: OK };
    case 'response':
      return { request: `${plain}${NL}`, answer: `HTTP/1.1 200 OK${NL}${fields}${end}Content-Length: 0${NL}${NL}` };
    case 'response trailer':
      return { request: `${plain}${NL}`, answer: `HTTP/1.1 200 OK${NL}${chunked}` };
    case 'upgrade':
      return { request: `${upgrade}${fields}${end}${NL}`, answer: `HTTP/1.1 101 S${NL}${WEBSOCKET}${NL}` };
    case '101':
      return { request: `${upgrade}${NL}`, answer: `HTTP/1.1 101 S${NL}${WEBSOCKET}${fields}${end}${NL}` };
    case 'refused upgrade':
      return { request: `${upgrade}${NL}`, answer: `HTTP/1.1 403 No${NL}${fields}${end}Content-Length: 0${NL}${NL}` };
  }
}

t.test('no hop-by-hop field goes on, and what stands beside it does', async (t) => {
  let [arrived, answer, ending] = ['', '', ''];
  const upstream = createServer((socket) => {
    socket
      .on('error', () => {})
      .on('data', (chunk) => {
        arrived += chunk.toString('latin1');
        // A switched protocol has nothing to say here: its end is the end of the case.
        if (arrived.endsWith(ending)) answer.startsWith('HTTP/1.1 101') ? socket.end(answer) : socket.write(answer);
      });
  });
  const sidecar = await sidecarForTest(t, `http://127.0.0.1:${await listening(t, upstream)}`);
  let leaks = 0;
  for (const [at, { way, name, fields }] of CASES.entries()) {
    const [mark, kept] = [`leak${at}x`, `kept${at}x`];
    const { request, answer: reply } = messages(way, `${fields.replaceAll('%', mark)}${NL}`, `X-End: ${kept}${NL}`);
    [arrived, answer, ending] = ['', reply, way === 'request trailer' ? `${kept}${NL}${NL}` : `${NL}${NL}`];
    const { text } = await exchangeRaw(sidecar.port, request, {
      responses: 1,
      waitMs: 2000,
    });
    const there = way === 'request' || way === 'request trailer' || way === 'upgrade' ? arrived : text;
    if (there.includes(mark)) leaks++;
    t.notOk(there.includes(mark), `${way}: ${name}`);
    t.ok(there.includes(kept), `${way}: ${name}: the other field arrives`);
    if (way === 'upgrade') t.match(there, /\r\nUpgrade: websocket\r\n/, `${name}: the upgrade itself goes on`);
    if (name.startsWith('TE: trailers')) t.equal(/\r\nTE: trailers\r\n/.test(there), way === 'request', 'TE: trailers');
  }
  t.ok(CASES.length >= 100, `${CASES.length} cases`);
  t.comment(
    `G04 hop-by-hop, ${engine} engine: ${leaks} leaks in ${CASES.length} cases, both ways, trailers and upgrades included`,
  );
});
