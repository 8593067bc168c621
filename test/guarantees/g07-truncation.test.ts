/** G7: a response that was cut short is never a clean end, and nobody hangs. An upstream dies at 40 places of its answer. */
import { createServer } from 'node:net';
import t from 'tap';
import { exchangeRaw } from '../helpers/raw-client.ts';
import { engine, listening, sidecarForTest } from '../helpers/sidecar.ts';
import { tokenFor } from '../helpers/tokens.ts';

const NL = '\r\n';
const BY_LENGTH = `HTTP/1.1 200 OK${NL}X: y${NL}Content-Length: 40${NL}${NL}${'a'.repeat(40)}`;
const CHUNKED = `HTTP/1.1 200 OK${NL}Transfer-Encoding: chunked${NL}${NL}14${NL}${'b'.repeat(20)}${NL}14${NL}${'c'.repeat(20)}${NL}0${NL}X-T: 1${NL}${NL}`;

/** Places evenly over the answer, the first before any byte and the last before the last one. */
function cuts(answer: string, count: number): string[] {
  return Array.from({ length: count }, (_, i) => answer.slice(0, Math.floor((i * (answer.length - 1)) / (count - 1))));
}

t.test('40 cut points: 0 clean ends, 0 hangs', async (t) => {
  const all = [...cuts(BY_LENGTH, 20), ...cuts(CHUNKED, 20)];
  let cut = '';
  const upstream = createServer((socket) => {
    socket.on('error', () => {});
    socket.once('data', () => socket.write(cut, () => socket.destroy()));
  });
  const sidecar = await sidecarForTest(t, `http://127.0.0.1:${await listening(t, upstream)}`);
  let clean = 0;
  let hangs = 0;
  for (const version of ['1.1', '1.0']) {
    for (cut of all) {
      const { responses, end } = await exchangeRaw(
        sidecar.port,
        `GET / HTTP/${version}${NL}Host: a${NL}Authorization: Bearer ${tokenFor('org_acme')}${NL}${NL}`,
        { responses: 1, waitMs: 1000 },
      );
      const [answer] = responses;
      const isRefusal = answer !== undefined && answer.status === 502 && answer.isWhole;
      const isCut = answer?.status === 200 && !answer.isWhole;
      if (!isRefusal && end === 'open') hangs++;
      // Without a length, as HTTP/1.0 gets a chunked answer, only a reset tells that there was more.
      const isTold =
        isRefusal ||
        (isCut &&
          (version === '1.1' || answer.headers['content-length'] !== undefined ? end !== 'open' : end === 'reset'));
      if (!isTold) clean++;
      t.ok(isTold, `HTTP/${version}, cut at ${cut.length}: ${answer?.status} ${end}`);
    }
  }
  t.comment(
    `G07 truncation, ${engine} engine: ${all.length} cut points × 2 versions, ${clean} clean ends, ${hangs} hangs`,
  );
});
