/**
 * The fast engine is the general one's equal: the same bytes go to a sidecar of each, before recorders that answer alike. The requests
 * executed are the same, and so are the answers, but for dates, ids, connection fields and the place of Content-Length.
 */
import t from 'tap';
import { becomes } from '../helpers/processes.ts';
import { exchangeRaw, type RawResponse } from '../helpers/raw-client.ts';
import { type Recorded, recorder } from '../helpers/recorder.ts';
import { scaled, seeded } from '../helpers/scale.ts';
import { sidecarForTest } from '../helpers/sidecar.ts';
import { payloads } from '../helpers/smuggling.ts';
import { tokenFor } from '../helpers/tokens.ts';

const NL = '\r\n';
const SEED = 20_261_125;
const MUTATED = scaled(300);
const AT_ONCE = 17;
const WAIT_MS = 150;
const PATIENT_MS = 1500;
const TRIES = 3;
const AUTH = `Authorization: Bearer ${tokenFor('org_acme')}`;

const ANSWERS: readonly string[] = [
  `HTTP/1.1 200 OK${NL}Content-Length: 2${NL}${NL}ok`,
  `HTTP/1.1 200 OK${NL}Transfer-Encoding: chunked${NL}${NL}3;x=y${NL}abc${NL}2${NL}de${NL}0${NL}X-Sum: 1${NL}X-Tenant-Id: x${NL}${NL}`,
  `HTTP/1.1 200 OK${NL}Connection: close${NL}${NL}until the end`,
  `HTTP/1.1 204 No Content${NL}X-A: 1${NL}${NL}`,
  `HTTP/1.1 304 Not Modified${NL}Content-Length: 7${NL}ETag: "x"${NL}${NL}`,
  `HTTP/1.1 205 Reset${NL}Content-Length: 0${NL}${NL}`,
  `HTTP/1.1 103 Early Hints${NL}Link: </a>; rel=preload${NL}X-B: 2${NL}${NL}HTTP/1.1 200 OK${NL}Content-Length: 1${NL}${NL}x`,
  `HTTP/1.1 503 Busy${NL}Retry-After: 1${NL}Set-Cookie: a${NL}set-cookie: b${NL}Keep-Alive: 9${NL}X-Reeve-Y: z${NL}Content-Length: 4${NL}${NL}busy`,
  `HTTP/1.1 200 OK${NL}Content-Length: 5${NL}Transfer-Encoding: chunked${NL}${NL}0${NL}${NL}`,
  `HTTP/1.1 200 OK${NL}Connection: X-Hop${NL}X-Hop: 1${NL}Content-Length: 1${NL}${NL}h`,
];

const request = (line: string, fields = '', body = ''): string =>
  `${line} HTTP/1.1${NL}Host: a${NL}${AUTH}${NL}${fields === '' ? '' : fields + NL}${NL}${body}`;

/** Requests of every kind that the fast engine serves itself, and some that it hands over in the middle of a connection. */
const REQUESTS: readonly string[] = [
  request('GET /x?y=1'),
  request('HEAD /x'),
  request('OPTIONS /x'),
  request('DELETE /x', 'X-Request-Id: given'),
  request('POST /x', 'Content-Length: 3', 'abc'),
  request('PUT /x', `Content-Length: 70000${NL}Content-Type: text/plain`, 'y'.repeat(70_000)),
  request('PATCH /x', 'Content-Length: 0'),
  request('POST /x', 'Content-Length: 80001', 'z'.repeat(80_001)),
  request('PROPFIND /x', 'Depth: 1'),
  request('QUERY /x', 'Content-Length: 2', '{}'),
  request('GET /x', `Connection: close${NL}b: 1${NL}A: 2${NL}b:   3  `),
  request(
    'GET /x',
    `X-Tenant-Id: globex${NL}x_tenant.plan: y${NL}X-Forwarded-For: 1${NL}x_real_ip: 2${NL}Content_Length: 4`,
  ),
  request('GET /x', `traceparent: 00-${'a'.repeat(32)}-${'b'.repeat(16)}-01${NL}tracestate: x=1${NL}Baggage: z`),
  request('GET /1') + request('GET /2') + request('POST /3', 'Content-Length: 1', 'z') + request('GET /4'),
  request('GET /1') + request('POST /2', 'Transfer-Encoding: chunked', `1${NL}a${NL}0${NL}${NL}`) + request('GET /3'),
  request('GET /1') + request('GET http://b/2') + request('GET /3'),
  request('GET /1') + request('GET /#2') + request('GET /3'),
  `GET / HTTP/1.1${NL}Host: a${NL}${NL}`,
  request('GET /x', AUTH),
  request('POST /x', `Content-Type: application/grpc${NL}Authorization: Bearer x${NL}Content-Length: 0`),
];

interface Seen {
  readonly answers: readonly string[];
  readonly requests: readonly string[];
  readonly faults: readonly string[];
}

/** Ids are made anew for each request. */
const withoutIds = (text: string): string =>
  text
    .replaceAll(AUTH.slice(AUTH.indexOf('Bearer')), 'token')
    .replaceAll(/00-[0-9a-f]{32}-[0-9a-f]{16}-0[01]/g, 'trace')
    .replaceAll(/\b[0-9a-f]{32}\b/g, 'id');

function said({ method, target, fields, framing, body, trailers }: Recorded): string {
  // undici writes its own Host, in lower case; where Content-Length stands is the engine's own affair.
  const own = fields
    .filter(([name]) => !/^(connection|keep-alive|content-length)$/i.test(name))
    .map(([name, value]) => [name === 'host' ? 'Host' : name, value]);
  return withoutIds(JSON.stringify([method, target, own, framing, body.length, trailers]));
}

/** Without what engines may say differently. node:http makes the head of a 103 in an order of its own. */
function answered({ status, headText, body, isWhole }: RawResponse): unknown[] {
  const lines = headText.split(NL).slice(1);
  const framing = lines.filter((each) => /^(content-length|transfer-encoding):/i.test(each));
  const fields = lines.filter((each) => !/^(date|connection|keep-alive|content-length|transfer-encoding):/i.test(each));
  return [status, status === 103 ? fields.length : fields, framing, isWhole, body];
}

t.test('the same bytes: the same requests executed, the same answers', { timeout: 240_000 }, async (t) => {
  let answer = '';
  const sides = await Promise.all(
    ['true', 'false'].map(async (fastPath) => {
      const upstream = await recorder(t, () => answer);
      const settings = {
        'wire.fastPath': fastPath,
        'anonymous.limit': '100000/s',
        'wire.responseTimeout': '2s',
        'wire.bodyBytesMax': '80kB',
      };
      return { upstream, sidecar: await sidecarForTest(t, upstream.url, { settings }) };
    }),
  );
  const ask = async ({ sidecar }: (typeof sides)[number], bytes: string, waitMs: number): Promise<string> => {
    const method = /^HEAD /.test(bytes) ? 'HEAD' : 'GET';
    const { responses, end } = await exchangeRaw(sidecar.port, bytes, { waitMs, method });
    return withoutIds(JSON.stringify([end, responses.map(answered)]));
  };
  /** Whoever gave up waiting has left, and what it asked for is no longer on its way. */
  const isQuiet = async ({ sidecar }: (typeof sides)[number]): Promise<boolean> => {
    const traffic = await (await fetch(`http://127.0.0.1:${sidecar.ports.admin}/v1/traffic`)).text();
    return /"connections": ?0,\s*"inFlight": ?0/.test(traffic);
  };
  const seenBy = async (side: (typeof sides)[number], all: readonly string[], waitMs: number): Promise<Seen> => {
    await becomes(() => isQuiet(side));
    side.upstream.clear();
    const answers = await Promise.all(all.map((bytes) => ask(side, bytes, waitMs)));
    return { answers, requests: side.upstream.requests.map(said).sort(), faults: [...side.upstream.faults] };
  };
  const both = (all: readonly string[], waitMs: number): Promise<Seen[]> =>
    Promise.all(sides.map((side) => seenBy(side, all, waitMs)));
  const isSame = ([fast, general]: readonly Seen[]): boolean => JSON.stringify(fast) === JSON.stringify(general);

  let rows = 0;
  /** How many differ. What differs in a crowd is asked again with patience, and then by itself: a busy machine is no difference. */
  const differing = async (all: readonly string[]): Promise<number> => {
    let count = 0;
    for (let at = 0; at < all.length; at += AT_ONCE) {
      const some = all.slice(at, at + AT_ONCE);
      rows += some.length;
      if (isSame(await both(some, WAIT_MS)) || isSame(await both(some, PATIENT_MS))) continue;
      for (const bytes of some) {
        let seen = await both([bytes], PATIENT_MS);
        for (let tries = 1; tries < TRIES && !isSame(seen); tries++) seen = await both([bytes], PATIENT_MS);
        if (isSame(seen)) continue;
        count++;
        t.same(seen[0], seen[1], `${JSON.stringify(bytes.slice(0, 60))} before ${JSON.stringify(answer.slice(0, 60))}`);
      }
    }
    return count;
  };
  for (answer of ANSWERS) t.equal(await differing(REQUESTS), 0, JSON.stringify(answer.slice(0, 60)));
  answer = ANSWERS[0] as string;
  const corpus = payloads().filter((_, at) => at % 3 === 0);
  t.equal(await differing(corpus.map(({ bytes }) => bytes(AUTH))), 0, 'the corpus of smuggling');

  const random = seeded(SEED);
  const short = REQUESTS.filter((each) => each.length < 4000);
  const mutated = Array.from({ length: MUTATED }, () => {
    const bytes = Buffer.from(short[Math.floor(random() * short.length)] as string, 'latin1');
    for (let flips = 1 + Math.floor(random() * 3); flips > 0; flips--)
      bytes[Math.floor(random() * bytes.length)] = Math.floor(random() * 256);
    return bytes.toString('latin1');
  });
  t.equal(await differing(mutated), 0, `mutated bytes, seed ${SEED}`);
  t.comment(`figure: ${rows} byte sequences to both engines (seed ${SEED}), the same requests and answers`);
});
