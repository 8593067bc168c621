/**
 * G3: framing is regenerated, never copied. A recorder that forgives nothing stands behind the sidecar: whatever a client sends, what
 * arrives there has one framing field or none, and its body is the one the client sent. The same towards the client: whatever an upstream
 * answers, the response ends where its body ends.
 */
import t from 'tap';
import { exchangeRaw } from '../helpers/raw-client.ts';
import { OK, recorder } from '../helpers/recorder.ts';
import { scaled, seeded } from '../helpers/scale.ts';
import { engine, sidecarForTest } from '../helpers/sidecar.ts';
import { payloads } from '../helpers/smuggling.ts';
import { tokenFor } from '../helpers/tokens.ts';

const NL = '\r\n';
const AT_ONCE = 24;
/** Without a byte for so long, and the connection open: nothing more comes. Less cuts answers off on a busy machine. */
const WAIT_MS = 200;
const BODIES = scaled(400);
const SEED = 20_261_125;
const AUTH = `Authorization: Bearer ${tokenFor('org_acme')}`;
const METHODS = ['POST', 'PUT', 'PATCH', 'DELETE', 'GET', 'OPTIONS', 'HEAD', 'PROPFIND'] as const;

async function spread<T>(all: readonly T[], run: (each: T) => Promise<void>): Promise<void> {
  let next = 0;
  const worker = async (): Promise<void> => {
    for (let at = next++; at < all.length; at = next++) await run(all[at] as T);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
}

/** The same body in another framing: by length, or cut into chunks with extensions and trailers. */
function framed(body: string, random: () => number): string {
  const form = Math.floor(random() * 5);
  if (form === 0) return `Content-Length: ${body.length}${NL}${NL}${body}`;
  if (form === 1) return `Content-Length: 000${body.length}${NL}${NL}${body}`;
  let chunks = '';
  for (let at = 0; at < body.length; ) {
    const piece = body.slice(at, at + 1 + Math.floor(random() * body.length));
    const size = random() < 0.3 ? `00${piece.length.toString(16).toUpperCase()}` : piece.length.toString(16);
    chunks += `${size}${random() < 0.3 ? ';ext="a;b"' : ''}${NL}${piece}${NL}`;
    at += piece.length;
  }
  const trailers = form === 4 ? `X-T: 1${NL}Host: b${NL}Cookie: c${NL}` : '';
  return `${form === 4 ? `Trailer: X-T${NL}` : ''}Transfer-Encoding: ${form === 3 ? 'Chunked' : 'chunked'}${NL}${NL}${chunks}0${NL}${trailers}${NL}`;
}

t.test('requests: one framing field or none, and the body that the client sent', async (t) => {
  const upstream = await recorder(t);
  const sidecar = await sidecarForTest(t, upstream.url);
  await spread(payloads(), async ({ bytes }) => {
    await exchangeRaw(sidecar.port, bytes(AUTH), { waitMs: WAIT_MS, responses: 3 });
  });
  t.same(upstream.faults, [], 'the corpus of G1: every byte that went upstream is sound');
  const fromCorpus = upstream.requests.length;
  t.ok(fromCorpus > 100, `${fromCorpus} requests of the corpus arrived`);
  upstream.clear();

  const random = seeded(SEED);
  const sent = new Map<string, string>();
  const requests = Array.from({ length: BODIES }, (_, at) => {
    const method = METHODS[at % METHODS.length] as string;
    const size = Math.floor(random() ** 3 * 20_000);
    // A body that looks like the end of a body and another request.
    const body = `0${NL}${NL}GET /hidden HTTP/1.1${NL}Host: b${NL}${NL}${'\xff\0z'.repeat(size)}`.slice(0, size);
    sent.set(`/${at}`, body);
    return { method, bytes: `${method} /${at} HTTP/1.1${NL}Host: a${NL}${AUTH}${NL}${framed(body, random)}` };
  });
  let answered = 0;
  await spread(requests, async ({ method, bytes }) => {
    const { responses } = await exchangeRaw(sidecar.port, bytes, { responses: 1, waitMs: 3000, method });
    if (responses.at(-1)?.status === 200) answered++;
  });
  t.equal(answered, BODIES, 'each is answered');
  t.same(upstream.faults, []);
  // What clients of the corpus left behind may still arrive between them.
  const arrived = upstream.requests.filter(({ target }) => sent.has(target));
  t.equal(arrived.length, BODIES, 'each arrives once');
  const trailing = arrived.filter(({ trailers }) => trailers.length === 1).length;
  t.equal(trailing, requests.filter(({ bytes }) => bytes.includes(`${NL}Trailer: X-T${NL}`)).length, 'trailers arrive');
  const wrong = arrived.filter(
    ({ target, body, trailers }) => sent.get(target) !== body || trailers.some(([name]) => name !== 'X-T'),
  );
  t.same(wrong, [], 'and with its own body');
  t.comment(
    `G03 framing, ${engine} engine: ${upstream.faults.length} unsound of ${fromCorpus} requests of the corpus that arrived, ${wrong.length} wrong bodies of ${BODIES} (seed ${SEED})`,
  );
});

t.test('responses: the client sees one framing, and the body that the upstream sent', async (t) => {
  const bodies = ['', 'ok', `HTTP/1.1 200 OK${NL}Content-Length: 4${NL}${NL}EVIL`, 'x'.repeat(70_000)];
  const framings: readonly ((body: string) => string)[] = [
    (body) => `Content-Length: ${body.length}${NL}${NL}${body}`,
    (body) =>
      `Transfer-Encoding: chunked${NL}${NL}${body === '' ? '' : `${body.length.toString(16)};e=1${NL}${body}${NL}`}0${NL}${NL}`,
    (body) => `Connection: close${NL}${NL}${body}`,
    (body) => `Connection: content-length${NL}Content-Length: ${body.length}${NL}${NL}${body}`,
  ];
  let answer = OK;
  let rows = 0;
  const upstream = await recorder(t, () => answer);
  const sidecar = await sidecarForTest(t, upstream.url);
  for (const version of ['1.1', '1.0']) {
    for (const method of ['GET', 'POST', 'DELETE']) {
      for (const [at, frame] of framings.entries()) {
        for (const body of bodies) {
          answer = `HTTP/1.1 200 OK${NL}${frame(body)}`;
          const head = `${method} / HTTP/${version}${NL}Host: a${NL}${AUTH}${NL}${method === 'POST' ? `Content-Length: 0${NL}` : ''}${NL}`;
          const { responses, end } = await exchangeRaw(sidecar.port, head, { responses: 1, waitMs: 2000, method });
          const [response] = responses;
          const lengths = /^content-length:/gim.exec(response?.headText ?? '')?.length ?? 0;
          const codings = /^transfer-encoding:/gim.exec(response?.headText ?? '')?.length ?? 0;
          const isFramed = version === '1.1' ? lengths + codings === 1 : codings === 0;
          const isEnded = response?.isWhole === true || end === 'closed';
          rows++;
          t.ok(
            isFramed && isEnded && response?.body === body && responses.length === 1,
            `${method} HTTP/${version}, framing ${at}, ${body.length} bytes`,
          );
        }
      }
    }
  }
  t.comment(`G03 framing, ${engine} engine: ${rows} responses, each with one framing and its own body`);
});
