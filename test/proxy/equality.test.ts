/**
 * The fast engine is the general one's equal: the same bytes go to a sidecar of each, before recorders that answer alike. The requests
 * executed are the same, and so are the answers, but for dates, ids, connection fields and the place of Content-Length.
 */
import t from 'tap';
import { exchangeRaw } from '../helpers/raw-client.ts';
import { type Recorded, recorder } from '../helpers/recorder.ts';
import { scaled, seeded } from '../helpers/scale.ts';
import { sidecarForTest } from '../helpers/sidecar.ts';
import { payloads } from '../helpers/smuggling.ts';
import { tokenFor } from '../helpers/tokens.ts';

const NL = '\r\n';
const SEED = 20_261_125;
const MUTATED = scaled(300);
const AT_ONCE = 16;
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

type Seen = { readonly requests: readonly string[]; readonly answers: readonly string[]; readonly end: string };

/** Ids are made anew for each request. */
const withoutIds = (text: string): string =>
  text.replaceAll(/00-[0-9a-f]{32}-[0-9a-f]{16}-0[01]/g, 'trace').replaceAll(/\b[0-9a-f]{32}\b/g, 'id');

function said({ method, target, fields, framing, body, trailers }: Recorded): string {
  const isLength = ([name]: [string, string]): boolean => name.toLowerCase() === 'content-length';
  const about = (name: string): boolean => /^(connection|keep-alive)$/i.test(name);
  const own = fields.filter((each) => !isLength(each) && !about(each[0]));
  return withoutIds(JSON.stringify([method, target, own, framing, body.length, trailers]));
}

t.test('the same bytes: the same requests executed, the same answers', { timeout: 120_000 }, async (t) => {
  let answer = '';
  const sides = await Promise.all(
    ['true', 'false'].map(async (fastPath) => {
      const upstream = await recorder(t, () => answer);
      const settings = { 'wire.fastPath': fastPath, 'anonymous.limit': '100000/s', 'wire.responseTimeout': '2s' };
      return { upstream, sidecar: await sidecarForTest(t, upstream.url, { settings }) };
    }),
  );
  const ask = async ({ sidecar }: (typeof sides)[number], bytes: string): Promise<Omit<Seen, 'requests'>> => {
    const method = /^HEAD /.test(bytes) ? 'HEAD' : 'GET';
    const { responses, end } = await exchangeRaw(sidecar.port, bytes, { waitMs: 120, method });
    const answers = responses.map(({ status, headText, body, isWhole }) => {
      const fields = headText
        .split(NL)
        .slice(1)
        .filter((each) => !/^(date|connection|keep-alive|content-length|transfer-encoding):/i.test(each));
      const lengths = headText.split(NL).filter((each) => /^(content-length|transfer-encoding):/i.test(each));
      return withoutIds(JSON.stringify([status, status === 103 ? [] : fields, lengths, isWhole, body]));
    });
    return { answers, end };
  };
  const both = async (bytes: string): Promise<[Seen, Seen]> => {
    const seen = await Promise.all(
      sides.map(async (side) => {
        side.upstream.clear();
        const answered = await ask(side, bytes);
        return { ...answered, requests: side.upstream.requests.map(said) };
      }),
    );
    return seen as [Seen, Seen];
  };
  let rows = 0;
  for (answer of ANSWERS) {
    for (const bytes of REQUESTS) {
      const [fast, general] = await both(bytes);
      rows++;
      t.same(fast, general, `${JSON.stringify(bytes.slice(0, 40))} before ${JSON.stringify(answer.slice(0, 60))}`);
    }
  }

  answer = ANSWERS[0] as string;
  const executed = async (all: readonly string[]): Promise<number> => {
    let differing = 0;
    for (let at = 0; at < all.length; at += AT_ONCE) {
      const some = all.slice(at, at + AT_ONCE);
      const [fast, general] = await Promise.all(
        sides.map(async (side) => {
          side.upstream.clear();
          const answers = await Promise.all(
            some.map(async (bytes) => (await ask(side, bytes)).answers.map((each) => each.slice(0, 4))),
          );
          return { answers, requests: side.upstream.requests.map(said).sort(), faults: [...side.upstream.faults] };
        }),
      );
      rows += some.length;
      if (JSON.stringify(fast) !== JSON.stringify(general)) {
        differing++;
        t.same(fast, general, JSON.stringify(some));
      }
    }
    return differing;
  };
  t.equal(await executed(payloads().map(({ bytes }) => bytes(AUTH))), 0, 'the corpus of smuggling');

  const random = seeded(SEED);
  const pick = <T>(from: readonly T[]): T => from[Math.floor(random() * from.length)] as T;
  const mutated = Array.from({ length: MUTATED }, () => {
    const bytes = Buffer.from(pick(REQUESTS.filter((each) => each.length < 4000)), 'latin1');
    for (let flips = 1 + Math.floor(random() * 3); flips > 0; flips--)
      bytes[Math.floor(random() * bytes.length)] = Math.floor(random() * 256);
    return bytes.toString('latin1');
  });
  t.equal(await executed(mutated), 0, `mutated bytes, seed ${SEED}`);
  t.comment(`figure: ${rows} byte sequences to both engines (seed ${SEED}), the same requests and answers`);
});
