/** One tenant's backlog is not another's: real sidecars of both engines before a slow application that works on few requests at once. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { connect, type Socket } from 'node:net';
import t from 'tap';
import type { Explanation } from '../../src/admin/index.ts';
import { reeve } from '../helpers/command.ts';
import { becomes } from '../helpers/processes.ts';
import { exchangeRaw } from '../helpers/raw-client.ts';
import { type Ending, listening, type SidecarForTest, sidecarForTest } from '../helpers/sidecar.ts';
import { document, makeTenancy, plan, tenant } from '../helpers/tenancy.ts';
import { tokenFor } from '../helpers/tokens.ts';

const NL = '\r\n';
const fixed = (max: number): Record<string, string> => ({ 'admission.min': String(max), 'admission.max': String(max) });
const head = (name: string, path = '/', more = ''): string =>
  `GET ${path} HTTP/1.1${NL}Host: a.test${NL}Authorization: Bearer ${tokenFor(`org_${name}`)}${NL}${more}${NL}`;

/** An application that answers when it is told to; streams, refuses and upgrades by path. */
class Application {
  readonly seen: { readonly path: string; readonly headers: IncomingMessage['headers'] }[] = [];
  readonly held: ServerResponse[] = [];
  readonly server: Server;

  constructor() {
    this.server = createServer((req, res) => {
      const path = req.url as string;
      this.seen.push({ path, headers: req.headers });
      if (path === '/stream') res.write('data: 1\n\n');
      else if (path === '/reset') req.socket.destroy();
      else if (path === '/now') res.end('ok');
      else this.held.push(res);
    });
    this.server.on('upgrade', (_req, socket: Socket) => {
      socket.on('error', () => {});
      socket.write(`HTTP/1.1 101 Switching Protocols${NL}Connection: Upgrade${NL}Upgrade: websocket${NL}${NL}`);
    });
  }

  /** Answers the one that has waited longest. */
  answer(): void {
    this.held.shift()?.end('ok');
  }
}

const routes = document('Route', 'vital', { match: { path: '/vital' }, critical: true });

for (const engine of ['fast', 'general'] as const) {
  const begin = async (
    t: Ending,
    given: Record<string, string>,
    files: Record<string, string> = {},
  ): Promise<{ app: Application; sidecar: SidecarForTest; admission: () => Promise<Explanation['admission']> }> => {
    const app = new Application();
    const sidecar = await sidecarForTest(t, `http://127.0.0.1:${await listening(t, app.server)}`, {
      tenancy: makeTenancy({ 'routes.yaml': routes, ...files }),
      settings: { ...given, 'wire.fastPath': String(engine === 'fast') },
    });
    const admission = async (): Promise<Explanation['admission']> => {
      const answer = await fetch(`http://127.0.0.1:${sidecar.ports.admin}/v1/explain?tenant=acme`);
      return ((await answer.json()) as Explanation).admission;
    };
    return { app, sidecar, admission };
  };
  const send = (sidecar: SidecarForTest, bytes: string): Socket => {
    const socket = connect(sidecar.port, '127.0.0.1', () => socket.write(bytes));
    return socket.on('error', () => {}).resume();
  };

  t.test(
    `${engine}: a tenant with many waiting lets another before it, and a critical request before both`,
    async (t) => {
      const { app, sidecar, admission } = await begin(t, fixed(2));
      for (let i = 0; i < 60; i++) send(sidecar, head('acme', `/heavy${i}`));
      t.ok(await becomes(async () => (await admission())?.waiting === 58));
      t.match(await admission(), {
        limit: 2,
        unanswered: 2,
        open: 2,
        waiting: 58,
        waitingOfTenant: 58,
        wouldWait: true,
      });
      const explained = await reeve([
        ...['limits', 'check', 'globex', '--admin', `http://127.0.0.1:${sidecar.ports.admin}`],
      ]);
      t.match(
        explained.stdout,
        /admission +application: 2 of 2 unanswered, 58 waiting \(0 of the tenant's\)[\s\S]*goes to application, when its turn comes\n/,
      );
      send(sidecar, head('globex', '/light'));
      t.ok(await becomes(async () => (await admission())?.waiting === 59));
      send(sidecar, head('acme', '/vital'));
      t.ok(await becomes(async () => (await admission())?.waiting === 60));
      for (let i = 0; i < 3; i++) {
        const count = app.seen.length;
        app.answer();
        t.ok(await becomes(() => app.seen.length > count));
      }
      t.same(
        app.seen.slice(2).map(({ path }) => path),
        // The first of a tenant that waits is as fresh as another's: then they take turns.
        ['/vital', '/heavy2', '/light'],
      );
    },
  );

  t.test(`${engine}: what is too much is told so, in a document, with the time to come again`, async (t) => {
    const { app, sidecar, admission } = await begin(t, { ...fixed(1), 'admission.wait': '300ms' });
    for (let i = 0; i < 65; i++) send(sidecar, head('acme'));
    t.ok(await becomes(async () => (await admission())?.waiting === 64));
    const full = await exchangeRaw(sidecar.port, head('acme'), { responses: 1, waitMs: 250 });
    t.match(full.responses[0], { status: 503, headers: { 'retry-after': '1' }, body: /temporary-reduced-capacity/ });
    const late = await exchangeRaw(sidecar.port, head('globex'), { responses: 1, waitMs: 2000 });
    t.match(late.responses[0], { status: 503, body: /waited as long as it may/ });
    t.equal(app.seen.length, 1, 'what was refused never went up');
    t.ok(await becomes(async () => (await admission())?.waiting === 0));
  });

  t.test(`${engine}: whoever leaves the line is gone from it at once, and every place comes back`, async (t) => {
    const { app, sidecar, admission } = await begin(t, fixed(1));
    const isEmpty = async (): Promise<boolean> => {
      const at = await admission();
      return at?.unanswered === 0 && at.open === 0 && at.waiting === 0;
    };
    const first = send(sidecar, head('acme', '/first'));
    t.ok(await becomes(() => app.seen.length === 1));
    const waiting = ['/a', '/b'].map((path) => send(sidecar, head('globex', path)));
    const upload = send(sidecar, head('globex', '/c', `Content-Length: 100${NL}`));
    const upgrade = send(sidecar, head('globex', '/ws', `Connection: Upgrade${NL}Upgrade: websocket${NL}`));
    t.ok(await becomes(async () => (await admission())?.waiting === 4));
    for (const each of [...waiting, upload, upgrade]) each.destroy();
    t.ok(await becomes(async () => (await admission())?.waiting === 0), 'before anybody had a turn');
    first.destroy();
    t.ok(await becomes(isEmpty), 'a client that left before the answer');
    t.same(
      app.seen.map(({ path }) => path),
      ['/first'],
    );

    const stream = send(sidecar, head('acme', '/stream'));
    t.ok(await becomes(async () => (await admission())?.open === 1 && (await admission())?.unanswered === 0));
    const beside = await exchangeRaw(sidecar.port, head('globex', '/now'), { responses: 1, waitMs: 2000 });
    t.equal(beside.responses[0]?.status, 200, 'a stream holds no turn');
    stream.destroy();
    t.ok(await becomes(isEmpty), 'a stream that was left');

    const reset = await exchangeRaw(sidecar.port, head('acme', '/reset'), { responses: 1, waitMs: 2000 });
    t.equal(reset.responses[0]?.status, 502);
    t.ok(await becomes(isEmpty), 'an application that broke off');

    const tunnel = send(sidecar, head('acme', '/ws', `Connection: Upgrade${NL}Upgrade: websocket${NL}`));
    await new Promise((resolve) => tunnel.once('data', resolve));
    t.ok(await isEmpty(), 'a tunnel holds no place');
    tunnel.destroy();
    const after = await exchangeRaw(sidecar.port, head('acme', '/now'), { responses: 1, waitMs: 2000 });
    t.equal(after.responses[0]?.status, 200);
    t.ok(await becomes(isEmpty));
  });

  t.test(`${engine}: a drain serves who waits`, async (t) => {
    const { app, sidecar, admission } = await begin(t, fixed(1));
    send(sidecar, head('acme'));
    const waits = exchangeRaw(sidecar.port, head('globex'), { responses: 1, waitMs: 5000 });
    t.ok(await becomes(async () => (await admission())?.waiting === 1));
    const drained = sidecar.drain();
    app.answer();
    t.ok(await becomes(() => app.held.length === 1));
    app.answer();
    t.equal((await waits).responses[0]?.status, 200);
    await drained;
  });

  t.test(`${engine}: the time to the head is that of the application, however slowly a client sends`, async (t) => {
    const { app, sidecar, admission } = await begin(t, {});
    for (let i = 0; i < 12; i++) {
      const socket = send(sidecar, `${head('acme', '/up', `Content-Length: 2${NL}`).replace('GET', 'POST')}x`);
      t.ok(await becomes(() => app.held.length === 1));
      if (i === 0) await new Promise((resolve) => setTimeout(resolve, 150));
      await new Promise((resolve) => setTimeout(resolve, 30));
      socket.write('y');
      await new Promise((resolve) => setTimeout(resolve, 20));
      app.answer();
      t.ok(await becomes(async () => (await admission())?.open === 0));
      socket.destroy();
    }
    const usual = (await admission())?.usualMs as number;
    t.ok(usual >= 10 && usual < 35, `${usual} ms, of 20`);
  });

  t.test(`${engine}: over its rate a tenant is served behind others, and the application is told`, async (t) => {
    const files = {
      'plans.yaml': plan('free', {
        rate: { requests: { limit: '1/min', burst: 1 } },
        degrade: ['deprioritize', 'reject'],
      }),
      'tenants.yaml': tenant('acme') + tenant('globex'),
    };
    const { app, sidecar } = await begin(t, {}, files);
    for (let i = 0; i < 2; i++) await exchangeRaw(sidecar.port, head('acme', '/now'), { responses: 1, waitMs: 2000 });
    t.same(
      app.seen.map(({ headers }) => headers['x-tenant-priority']),
      [undefined, 'low'],
    );
    const refused = await exchangeRaw(sidecar.port, head('acme', '/now'), { responses: 1, waitMs: 2000 });
    t.equal(refused.responses[0]?.status, 429);
  });
}
