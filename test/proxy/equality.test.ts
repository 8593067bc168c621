/** The fast engine is the general one's equal: the same bytes, the same requests executed and the same answers. `npm run fuzz -- --engines` does any number of others. */
import t from 'tap';
import { scaled, seeded } from '../helpers/scale.ts';
import { payloads } from '../helpers/smuggling.ts';
import { AUTH, signedCase, TwoEngines } from '../helpers/two-engines.ts';

const NL = '\r\n';
const SEED = 20_261_125;
const MUTATED = scaled(300);
const FROM_GRAMMAR = scaled(3000);
const AT_ONCE = 17;
const MANY_AT_ONCE = 64;

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

t.test('the same bytes: the same requests executed, the same answers', { timeout: 240_000 }, async (t) => {
  const engines = await TwoEngines.start(t);
  const areAlike = async (all: readonly string[], what: string, atOnce = AT_ONCE): Promise<void> => {
    const found = await engines.differences(all, atOnce);
    for (const { bytes, fast, general } of found.slice(0, 5)) t.same(fast, general, JSON.stringify(bytes));
    t.equal(found.length, 0, what);
  };
  for (const answer of ANSWERS) {
    engines.answer = () => answer;
    await areAlike(REQUESTS, JSON.stringify(answer.slice(0, 60)));
  }
  engines.answer = () => ANSWERS[0] as string;
  const corpus = payloads().filter((_, at) => at % 3 === 0);
  await areAlike(
    corpus.map(({ bytes }) => bytes(AUTH)),
    'the corpus of smuggling',
  );
  const random = seeded(SEED);
  const short = REQUESTS.filter((each) => each.length < 4000);
  const mutated = Array.from({ length: MUTATED }, () => {
    const bytes = Buffer.from(short[Math.floor(random() * short.length)] as string, 'latin1');
    for (let flips = 1 + Math.floor(random() * 3); flips > 0; flips--)
      bytes[Math.floor(random() * bytes.length)] = Math.floor(random() * 256);
    return bytes.toString('latin1');
  });
  await areAlike(mutated, `mutated bytes, seed ${SEED}`);
  const made = Array.from({ length: FROM_GRAMMAR }, (_, at) => signedCase(SEED, at));
  await areAlike(made, `made from the grammar and damaged, seed ${SEED}`, MANY_AT_ONCE);
  t.comment(`figure: ${engines.asked} byte sequences to both engines (seed ${SEED}), the same requests and answers`);
});
