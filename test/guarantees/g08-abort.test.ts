/** G8: a client that goes away frees the upstream at once: 1,000 aborts while waiting, downloading and uploading. */
import { connect, createServer, type Socket } from 'node:net';
import t from 'tap';
import { becomes } from '../helpers/processes.ts';
import { scaled } from '../helpers/scale.ts';
import { engine, listening, sidecarForTest } from '../helpers/sidecar.ts';
import { tokenFor } from '../helpers/tokens.ts';

const NL = '\r\n';
const ABORTS = scaled(1000);
const AT_ONCE = 40;
/** Far less than any timeout of the sidecar, and more than a busy machine needs. */
const WITHIN_MS = 15_000;
const random = (ms: number): number => Math.floor(Math.random() * ms);

t.test(`${ABORTS} aborts: no upstream socket is left`, async (t) => {
  const open = new Set<Socket>();
  /** What waits for a request to arrive, by its number. */
  const began = new Map<string, () => void>();
  let arrived = 0;
  const upstream = createServer((socket) => {
    open.add(socket);
    socket.on('close', () => open.delete(socket)).on('error', () => {});
    socket.on('data', (chunk) => {
      const number = /\?(\d+) HTTP\/1\.1/.exec(chunk.toString('latin1'))?.[1];
      if (number === undefined) return;
      arrived++;
      began.get(number)?.();
      // Waits for ever, or sends for ever.
      if (chunk.includes('/download'))
        socket.write(`HTTP/1.1 200 OK${NL}Content-Length: 999999999${NL}${NL}${'x'.repeat(65_536)}`);
    });
  });
  const sidecar = await sidecarForTest(t, `http://127.0.0.1:${await listening(t, upstream)}`);
  const auth = `Authorization: Bearer ${tokenFor('org_acme')}`;
  const forms = [
    `GET /wait?N HTTP/1.1${NL}Host: a${NL}${auth}${NL}${NL}`,
    `GET /download?N HTTP/1.1${NL}Host: a${NL}${auth}${NL}${NL}`,
    `POST /upload?N HTTP/1.1${NL}Host: a${NL}${auth}${NL}Content-Length: 9999999${NL}${NL}${'y'.repeat(10_000)}`,
  ];
  /** Three of four somewhere in the middle; the others at any moment, before the upstream has heard of them too. */
  const abort = (number: number): Promise<void> =>
    new Promise((resolve) => {
      const form = (forms[number % 3] as string).replace('?N', `?${number}`);
      const socket = connect(sidecar.port, '127.0.0.1', () => socket.write(form));
      socket.on('error', () => {}).on('close', () => resolve());
      const destroy = (withinMs: number) => (): void => void setTimeout(() => socket.destroy(), random(withinMs));
      if (number % 4 === 0) destroy(25)();
      else began.set(String(number), destroy(20));
    });
  for (let done = 0; done < ABORTS; done += AT_ONCE)
    await Promise.all(Array.from({ length: AT_ONCE }, (_, i) => abort(done + i)));
  const lastAt = performance.now();
  const inFlight = async (): Promise<number> =>
    ((await (await fetch(`http://127.0.0.1:${sidecar.ports.admin}/v1/traffic`)).json()) as { inFlight: number })
      .inFlight;
  await becomes(async () => open.size === 0 && (await inFlight()) === 0, WITHIN_MS);
  const tookMs = performance.now() - lastAt;
  t.ok(arrived > ABORTS * 0.7, `${arrived} requests reached the upstream before they were aborted`);
  t.equal(open.size, 0);
  t.equal(await inFlight(), 0, 'every exchange ended');
  t.comment(
    `G08 abort, ${engine} engine: ${ABORTS} aborts, ${open.size} upstream sockets left ${Math.round(tookMs)} ms after the last`,
  );
});
