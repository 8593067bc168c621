/**
 * G28: a sidecar that is told to stop fails nobody. SIGTERMs under load, half of them to sidecars of each engine: one always runs, clients
 * keep their connections and go to the next when told to (Connection: close) or when nobody listens. A response that is cut, an error
 * status or a connection that dies with a request on it is a failure.
 */
import { Agent, request } from 'node:http';
import t from 'tap';
import { scaled } from '../helpers/scale.ts';
import { type ChildSidecar, childSidecar, httpBackend, settings } from '../helpers/sidecar.ts';
import { makeTenancy } from '../helpers/tenancy.ts';
import { tokenFor } from '../helpers/tokens.ts';

/** `GUARANTEE_SCALE=5` makes them 100, as `.ci/run` does. */
const STOPS = scaled(10);
const CLIENTS = 8;
/** Of the application: long enough that a stop always meets requests in flight, and that their clients leave a core to the next sidecar. */
const ANSWER_MS = 40;

t.test(`${STOPS} SIGTERMs under load: 0 failed requests`, { timeout: 240_000 }, async (t) => {
  const upstream = await httpBackend(t, (_req, res) => setTimeout(() => res.end('ok'), ANSWER_MS));
  const tenancy = makeTenancy();
  t.teardown(() => tenancy.cleanUp());
  let started = 0;
  const start = (): Promise<ChildSidecar> => {
    const fastPath = String(started++ % 2 === 0);
    return childSidecar(t, settings(upstream, tenancy, { 'drain.grace': '10s', 'wire.fastPath': fastPath }));
  };
  let current = await start();
  let next = start();
  const failures: string[] = [];
  let sent = 0;
  let isOver = false;
  const authorization = `Bearer ${tokenFor('org_acme')}`;

  /** One request; 'gone' when nobody took it, so that it may be sent elsewhere. */
  const once = (agent: Agent, port: number): Promise<'ok' | 'gone' | string> =>
    new Promise((resolve) => {
      const req = request({ host: '127.0.0.1', port, agent, headers: { authorization } }, (res) => {
        let body = '';
        res.on('data', (chunk: Buffer) => (body += chunk.toString()));
        res.on('end', () => resolve(res.statusCode === 200 && body === 'ok' ? 'ok' : `status ${res.statusCode}`));
        res.on('error', (cause) => resolve(`cut: ${cause.message}`));
      });
      req.on('error', (cause: NodeJS.ErrnoException) => {
        // An idle connection that closed before the request was on it (RFC 9112 §9.3.1) is node's to retry, and refused ones are ours.
        resolve(
          cause.code === 'ECONNREFUSED'
            ? 'gone'
            : `${cause.code} on ${req.reusedSocket ? 'a kept' : 'a new'} connection`,
        );
      });
      req.end();
    });
  const client = async (): Promise<void> => {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    while (!isOver) {
      const result = await once(agent, current.ports.inbound);
      if (result === 'gone') continue;
      sent++;
      if (result !== 'ok') failures.push(result);
    }
    agent.destroy();
  };
  const clients = Array.from({ length: CLIENTS }, client);
  const codes: (number | null)[] = [];
  for (let stop = 0; stop < STOPS; stop++) {
    const old = current;
    current = await next;
    next = stop < STOPS - 1 ? start() : Promise.resolve(current);
    old.child.kill('SIGTERM');
    codes.push(await old.exited);
  }
  isOver = true;
  await Promise.all(clients);
  current.child.kill('SIGTERM');
  await current.exited;
  t.same(failures, []);
  t.ok(
    codes.every((code) => code === 0),
    'every sidecar exits 0',
  );
  t.ok(sent > STOPS * CLIENTS, `${sent} requests`);
  t.comment(
    `G28 drain: ${STOPS} SIGTERMs under load, half of them to each engine: ${failures.length} of ${sent} requests failed`,
  );
});
