/**
 * G14: what is too large is refused before any work: at once, without a byte to the application, and without being kept; a head that is too
 * large without a credential being looked at, a body that is too large only for who proved a tenant. The sidecar is a process of its own; each row is sent many times on new connections.
 */
import t from 'tap';
import { heldProbe } from '../helpers/held.ts';
import { mib, quantile } from '../helpers/processes.ts';
import { exchangeRaw } from '../helpers/raw-client.ts';
import { scaled } from '../helpers/scale.ts';
import { childSidecar, engine, httpBackend, settings } from '../helpers/sidecar.ts';
import { document, makeTenancy } from '../helpers/tenancy.ts';
import { tokenFor } from '../helpers/tokens.ts';

const NL = '\r\n';
const TIMES = scaled(100);
/** Research: an answer in less than 5 ms. The median, because others use this machine too. */
const ANSWER_MS_MAX = 5;

// Heads have no credential: an answer other than 401 was given before identity. Bodies have one: strangers learn no bound of a route.
const AUTH = `Authorization: Bearer ${tokenFor('org_acme')}${NL}`;
const head = (line: string, fields = ''): string => `${line} HTTP/1.1${NL}Host: a${NL}${fields}${NL}`;
const ROWS: readonly (readonly [string, string, number])[] = [
  ['a head of 33 KiB', head('GET /', `X: ${'y'.repeat(33 * 1024)}${NL}`), 431],
  ['a head of 64 KiB', head('GET /', `X: ${'y'.repeat(64 * 1024)}${NL}`), 431],
  ['a head of 1 MiB without an end', `GET / HTTP/1.1${NL}X: ${'y'.repeat(2 ** 20)}`, 431],
  ['101 fields', head('GET /', `a: b${NL}`.repeat(100)), 431],
  ['1,100 fields', head('GET /', `a: b${NL}`.repeat(1100)), 431],
  ['a target of 9 KiB', head(`GET /${'x'.repeat(9 * 1024)}`), 414],
  ['a body by length', head('POST /', `${AUTH}Content-Length: 1025${NL}`), 413],
  ["a body over its route's bound", head('POST /small', `${AUTH}Content-Length: 11${NL}`), 413],
  [
    'an upgrade with 101 fields',
    head('GET /', `Connection: Upgrade${NL}Upgrade: x${NL}${`a: b${NL}`.repeat(100)}`),
    431,
  ],
];
/** Research: 1 KiB kept of each. */
const HELD_BYTES_MAX = TIMES * ROWS.length * 1024;
const PASSES: readonly (readonly [string, string])[] = [
  ['a head of 16 KiB', head('GET /', `X: ${'y'.repeat(16 * 1024)}${NL}`)],
  ['99 fields', head('GET /', `a: b${NL}`.repeat(98))],
  ['a target of 8,000 bytes', head(`GET /${'x'.repeat(7999)}`)],
  ['a body by length of a stranger', head('POST /', `Content-Length: 1025${NL}`)],
  ["a stranger's body over its route's bound", head('POST /small', `Content-Length: 11${NL}`)],
  ['a body at its bound', `${head('POST /', `Content-Length: 1024${NL}`)}${'x'.repeat(1024)}`],
];

t.test('what is too large is refused at once', { timeout: 90_000 }, async (t) => {
  let requests = 0;
  const upstream = await httpBackend(t, (_req, res) => res.end(String(++requests)));
  const tenancy = makeTenancy({
    'routes.yaml': document('Route', 'small', { match: { path: '/small' }, bodyMax: '10B' }),
  });
  t.teardown(() => tenancy.cleanUp());
  const given = {
    'wire.bodyBytesMax': '1KiB',
    'anonymous.limit': '100000/s',
    'anonymous.burst': '100000',
    'log.access': 'off',
  };
  const probed = heldProbe(t);
  const sidecar = await childSidecar(t, settings(upstream, tenancy, given), probed);
  const ask = async (bytes: string): Promise<{ status: number | undefined; end: string; ms: number }> => {
    const began = performance.now();
    const { responses, end } = await exchangeRaw(sidecar.ports.inbound, bytes, { responses: 1, waitMs: 2000 });
    return { status: responses[0]?.status, end, ms: performance.now() - began };
  };
  for (const [name, bytes] of PASSES) t.equal((await ask(bytes)).status, 401, `${name} goes on to identity`);
  const slowest: number[] = [];
  const round = async (isMeasured: boolean): Promise<void> => {
    for (const [name, bytes, status] of ROWS) {
      const answers = [];
      for (let i = 0; i < TIMES; i++) answers.push(await ask(bytes));
      if (!isMeasured) continue;
      const wrong = answers.filter((each) => each.status !== status);
      t.equal(wrong.length, 0, `${name}: ${status} each time, not ${wrong[0]?.status}`);
      const ms = quantile(
        answers.map((each) => each.ms),
        0.5,
      );
      t.ok(ms < ANSWER_MS_MAX, `${name}: after ${ms.toFixed(2)} ms`);
      slowest.push(ms);
    }
  };
  await round(false);
  const before = await probed.of(sidecar.child);
  await round(true);
  const growth = (await probed.of(sidecar.child)) - before;
  t.ok(growth < HELD_BYTES_MAX, `${mib(growth)} MiB held`);
  t.equal(requests, 0, 'no request reached the application');
  t.comment(
    `G14 limits first, ${engine} engine: ${ROWS.length * TIMES} requests too large in ${ROWS.length} forms, slowest median answer ${Math.max(...slowest).toFixed(2)} ms, ${mib(growth)} MiB held, ${requests} reached the application`,
  );
});
