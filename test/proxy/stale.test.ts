/** Stale answers through both engines, over sockets: the same bytes to the client, and the application is not asked. */
import t from 'tap';
import { systemClock } from '../../src/core/index.ts';
import { createLog } from '../../src/telemetry/index.ts';
import { exchangeRaw, type RawResponse } from '../helpers/raw-client.ts';
import { type Ending, httpBackend, sidecarForTest } from '../helpers/sidecar.ts';
import { makeTenancy, plan, tenant } from '../helpers/tenancy.ts';
import { tokenFor } from '../helpers/tokens.ts';

const NL = '\r\n';
/** One an hour; the first of each is answered by the application. */
const tenancy = () =>
  makeTenancy({
    'plans.yaml': plan('free', {
      rate: { requests: { limit: '1/h', burst: 1 } },
      degrade: [{ stale: '60s' }, 'reject'],
    }),
    'tenants.yaml': ['acme', 'globex', 'initech', 'umbrella', 'hooli']
      .map((name) => tenant(name, { identity: { hosts: [`${name}.test`], claims: [`org_${name}`] } }))
      .join(''),
  });

const get = (host: string, target: string, fields = '', method = 'GET', body = ''): string =>
  `${method} ${target} HTTP/1.1${NL}Host: ${host}${NL}${fields}${NL}${body}`;

interface Side {
  readonly port: number;
  readonly asked: string[];
  readonly lines: Record<string, unknown>[];
}

async function sideOf(t: Ending, fastPath: string): Promise<Side> {
  const asked: string[] = [];
  const upstream = await httpBackend(t, (req, res) => {
    asked.push(`${req.headers['x-tenant-id']} ${req.method} ${req.url}`);
    // What it says of itself is of one request, or of its way: none of it is said again.
    res.setHeader('X-Request-Id', String(req.headers['x-request-id']));
    res.setHeader('X-Tenant-Secret', 'inside');
    res.setHeader('X-Reeve-Usage', 'tokens=1');
    res.setHeader('ETag', '"1"');
    if (req.url === '/user') res.setHeader('Cache-Control', 'max-age=60');
    if (req.url === '/public') res.setHeader('Cache-Control', 'public, max-age=60');
    if (req.url === '/length') res.setHeader('Content-Length', 6);
    if (req.url === '/long') return void res.end(Buffer.alloc(70_000, 'x'));
    if (req.url === '/cut') return void res.writeHead(200, { 'Content-Length': 9 }).write('abc', () => res.destroy());
    res.write('from ');
    res.end(String(req.headers['x-tenant-id']).slice(0, 1));
  });
  const lines: Record<string, unknown>[] = [];
  const log = createLog({ clock: systemClock, level: 'info', write: (line) => void lines.push(JSON.parse(line)) });
  const sidecar = await sidecarForTest(t, upstream, {
    tenancy: tenancy(),
    log,
    settings: {
      'wire.fastPath': fastPath,
      'inbound.trust': 'network',
      'identity.sources': 'host,jwt',
      'log.access': 'all',
    },
  });
  return { port: sidecar.port, asked, lines };
}

const ask = async ({ port }: Side, bytes: string, method = 'GET'): Promise<RawResponse> =>
  (await exchangeRaw(port, bytes, { responses: 1, method })).responses[0] as RawResponse;

/** Without what differs between two requests, and what engines may say differently of the connection. */
const plain = ({ status, headText, body, isWhole }: RawResponse): unknown[] => {
  const [line, ...fields] = headText
    .replaceAll(/[0-9a-f]{32}/g, 'id')
    .replace(/t=3\d\d\d/, 't')
    .replace(/Retry-After: 3\d\d\d/, 'Retry-After')
    .replace(/Date: [^\r]*/, 'Date')
    // Seconds: a busy machine takes one or two.
    .replace(/Age: [0-3]\r/, 'Age: 0\r')
    .replace(/ttl=-[1-4]\b/, 'ttl=-1')
    .split(NL)
    .filter((each) => !/^(connection|keep-alive|transfer-encoding):/i.test(each));
  // Engines put the length at a place of their own.
  return [status, [line, ...fields.sort(), ''].join(NL), body.replace(/[0-9a-f]{32}/, 'id'), isWhole];
};

t.test('both engines give the same answer from before, and ask nobody', async (t) => {
  const sides = await Promise.all([sideOf(t, 'true'), sideOf(t, 'false')]);
  const story: readonly [bytes: string, method?: string][] = [
    [get('acme.test:8080', '/a')],
    [get('acme.test:8080', '/a')],
    [get('acme.test:8080', '/a', '', 'HEAD'), 'HEAD'],
    [get('acme.test:8080', '/a', `If-None-Match: "1"${NL}`)],
    [get('acme.test:8080', '/a', `Connection: close${NL}`)],
    [get('acme.test', '/a')],
    [get('acme.test:8080', '/a', `Content-Length: 2${NL}`, 'GET', 'ab')],
    [get('acme.test:8080', '/a', `Transfer-Encoding: chunked${NL}`, 'GET', `1${NL}a${NL}0${NL}${NL}`)],
    [get('acme.test:8080', '/a', `Connection: Upgrade${NL}Upgrade: websocket${NL}`)],
    [get('globex.test', '/length')],
    [get('globex.test', '/length')],
    [get('globex.test', '/a')],
    [get('initech.test', '/long')],
    [get('initech.test', '/long')],
  ];
  const told: unknown[][] = [[], []];
  for (const [bytes, method] of story)
    for (const [at, side] of sides.entries()) told[at]?.push(plain(await ask(side, bytes, method)));
  t.same(told[1], told[0]);
  const [fast, general] = sides as [Side, Side];
  t.same(fast.asked, ['acme GET /a', 'globex GET /length', 'initech GET /long']);
  t.same(general.asked, fast.asked);
  const [first, again, head, same, last, ...others] = told[0] as [number, string, string, boolean][];
  t.match(first, [200, /^/, 'from a', true]);
  t.match(again, [200, /^HTTP\/1.1 200 OK\r\n/, 'from a', true]);
  t.match(head, [200, /Content-Length: 6\r\n/, '', true]);
  t.match(same, [304, /ETag: "1"\r\n/, '', true]);
  t.match(last, [200, /^/, 'from a', true]);
  t.same(
    others.map(([status]) => status),
    [429, 429, 429, 429, 200, 200, 429, 200, 429],
  );
  const text = again?.[1] as string;
  for (const line of [
    'Age: 0',
    'Cache-Status: reeve; hit; ttl=-1',
    'X-Request-Id: id',
    'Content-Length: 6',
    'ETag: "1"',
  ])
    t.equal(text.split(`${line}${NL}`).length, 2, `${line}: ${text}`);
  t.match(text, /RateLimit: "requests";r=0;t\r\n/);
  t.notMatch(text, /transfer-encoding|tenant-secret|reeve-usage/i);
});

t.test('two tenants at the same place, and users of one', async (t) => {
  const sides = await Promise.all([sideOf(t, 'true'), sideOf(t, 'false')]);
  const bearer = (name: string): string => `Authorization: Bearer ${tokenFor(`org_${name}`)}${NL}`;
  for (const side of sides) {
    const bodyOf = async (bytes: string): Promise<string> => {
      const { status, body } = await ask(side, bytes);
      return status === 200 ? body : String(status);
    };
    // The host proves the tenant; the token is the user's.
    t.equal(await bodyOf(get('acme.test', '/user', bearer('acme'))), 'from a');
    t.equal(await bodyOf(get('acme.test', '/user', bearer('acme'))), '429', 'max-age alone is for that user');
    t.equal(await bodyOf(get('globex.test', '/public', bearer('globex'))), 'from g');
    t.equal(await bodyOf(get('globex.test', '/public')), 'from g', 'it says that others may have it');
    // By tokens alone, at one host: the place is the same to the letter.
    t.equal(await bodyOf(get('shared.test', '/public', bearer('initech'))), 'from i');
    t.equal(await bodyOf(get('shared.test', '/public', bearer('umbrella'))), 'from u');
    t.equal(await bodyOf(get('shared.test', '/public', bearer('initech'))), 'from i');
    t.equal(await bodyOf(get('shared.test', '/public', bearer('umbrella'))), 'from u');
    t.equal(await bodyOf(get('shared.test', '/public', bearer('globex'))), '429');
    t.equal(await bodyOf(get('shared.test', '/public', bearer('hooli'))), 'from h');
  }
});

t.test('an answer that was cut short is not kept', async (t) => {
  for (const fastPath of ['true', 'false']) {
    const side = await sideOf(t, fastPath);
    const { end } = await exchangeRaw(side.port, get('acme.test', '/cut'), { responses: 1 });
    t.not(end, 'open');
    t.equal((await ask(side, get('acme.test', '/cut'))).status, 429);
    t.same(side.asked, ['acme GET /cut']);
  }
});

t.test('the access log tells it from an answer of now', async (t) => {
  for (const fastPath of ['true', 'false']) {
    const side = await sideOf(t, fastPath);
    await ask(side, get('acme.test', '/a'));
    await ask(side, get('acme.test', '/a'));
    const lines = side.lines.filter(({ event }) => event === 'http.request');
    t.match(lines, [
      { 'reeve.decision': 'notice', 'reeve.outcome': 'forwarded' },
      { 'reeve.decision': 'stale', 'reeve.outcome': 'kept', 'http.response.status_code': 200, bytes_out: 6 },
    ]);
    t.notOk(lines[1] && 'upstream.name' in lines[1]);
  }
});
