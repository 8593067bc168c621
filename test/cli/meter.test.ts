/** A sidecar that records: whatever becomes of a request of a verified tenant is in the collector's ledger, once, and check explains the spool. */
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import t from 'tap';
import { request } from 'undici';
import { reeve } from '../helpers/command.ts';
import { becomes } from '../helpers/processes.ts';
import { httpBackend, sidecarForTest } from '../helpers/sidecar.ts';
import { makeTenancy, plan, tenant } from '../helpers/tenancy.ts';
import { tokenFor } from '../helpers/tokens.ts';
import { grpcCollector } from '../metering/grpc-collector.ts';

const route = (name: string, spec: object): string =>
  `${JSON.stringify({ apiVersion: 'reeve.dev/v1', kind: 'Route', metadata: { name }, spec })}\n---\n`;

t.test(
  'each way a request can end is one record of its tenant, and what nobody was verified for is none',
  async (t) => {
    const upstream = await httpBackend(t, (req, res) => {
      if (req.url === '/slow') return;
      if (req.url === '/reset') return void req.socket.destroy();
      if (req.url === '/tokens') res.setHeader('x-reeve-usage', 'llm_tokens=812, rows=-2');
      res.end('hello');
    });
    const tenancy = makeTenancy({
      'plans.yaml':
        plan('free', {}) + plan('tiny', { rate: { requests: { limit: '1/min', burst: 1 } }, degrade: ['reject'] }),
      'tenants.yaml': tenant('acme') + tenant('small', { plan: 'tiny' }),
      'routes.yaml': route('upload', { match: { path: '/upload' }, bodyMax: '1KiB' }),
    });
    const collector = await grpcCollector(t);
    const sidecar = await sidecarForTest(t, upstream, {
      tenancy,
      settings: { 'metering.dir': join(tenancy.stateDir, 'spool'), 'metering.collector.address': collector.address },
    });
    const ask = async (path: string, org: string | undefined, body?: string): Promise<number> => {
      const headers: Record<string, string> = org === undefined ? {} : { authorization: `Bearer ${tokenFor(org)}` };
      const { statusCode, body: answer } = await request(`${sidecar.url}${path}`, {
        method: body === undefined ? 'GET' : 'POST',
        headers,
        ...(body === undefined ? {} : { body }),
      });
      await answer.dump();
      return statusCode;
    };
    t.equal(await ask('/', 'org_acme'), 200);
    t.equal(await ask('/tokens', 'org_acme'), 200);
    t.equal(await ask('/upload', 'org_acme', 'x'.repeat(5000)), 413);
    t.equal(await ask('/upload', 'org_acme', 'x'.repeat(100)), 200);
    t.equal(await ask('/reset', 'org_acme', 'x'), 502);
    t.equal(await ask('/', 'org_small'), 200);
    t.equal(await ask('/', 'org_small'), 429);
    t.equal(await ask('/', undefined), 401);
    await new Promise<void>((resolve) => {
      const socket = connect(sidecar.port, '127.0.0.1', () => {
        socket.write(`GET /slow HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer ${tokenFor('org_acme')}\r\n\r\n`);
        setTimeout(() => resolve(void socket.destroy()), 100);
      });
    });
    const report = await fetch(`http://127.0.0.1:${sidecar.ports.application}/v1/usage`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ tenant: 'acme', usage: { exports: 3 } }),
    });
    t.strictSame(await report.json(), { counted: [], ignored: ['exports'] });
    await becomes(() => collector.records().length === 9);
    const records = collector.records();
    const ends = records.map(
      ({ tenant, outcome, statusClass, methodClass }) => `${tenant} ${methodClass} ${outcome} ${statusClass}`,
    );
    t.strictSame(ends.slice().sort(), [
      'acme other reported 0',
      'acme read aborted 0',
      'acme read ok 2',
      'acme read ok 2',
      'acme write denied 4',
      'acme write failed 5',
      'acme write ok 2',
      'small read denied 4',
      'small read ok 2',
    ]);
    t.match(records[0], { route: '', upstream: '', bytesIn: 0, bytesOut: 5 });
    t.strictSame(records[1]?.units, [
      { meter: 'llm_tokens', units: 812 },
      { meter: 'rows', units: -2 },
    ]);
    t.match(
      records.find(({ route, outcome }) => route === 'upload' && outcome === 'ok'),
      { bytesIn: 100 },
    );
    t.strictSame(records.find(({ outcome }) => outcome === 'reported')?.units, [{ meter: 'exports', units: 3 }]);
    const shown = await reeve(['wal', 'inspect', join(tenancy.stateDir, 'spool'), '--records', '20', '-o', 'json']);
    const said = (JSON.parse(shown.stdout) as { records: { record: unknown }[] }).records.map(({ record }) => record);
    t.match(said[0], { epoch: 1, seq: '1–1', records: [{ tenant: 'acme', outcome: 'ok', bytesOut: 5 }] });
    t.ok(said.some((record) => JSON.stringify(record).includes('{"told":"segment 1"}')));
    t.ok(said.some((record) => JSON.stringify(record).includes('{"meter":"llm_tokens","units":812}')));
    await sidecar.drain();
    t.equal(collector.collector.byes, 1, 'at the end all is told');
  },
);

t.test('check says what is the matter with a spool, and whether its collector answers', async (t) => {
  const tenancy = makeTenancy();
  t.teardown(() => tenancy.cleanUp());
  const dir = join(tenancy.stateDir, 'spool');
  const collector = await grpcCollector(t);
  const check = async (more: Readonly<Record<string, string>> = {}): Promise<string> => {
    const env = {
      REEVE_UPSTREAM: 'http://127.0.0.1:1',
      REEVE_TENANCY_DIR: tenancy.dir,
      REEVE_METERING_DIR: dir,
      REEVE_METERING_MAX_BYTES: '1MiB',
      REEVE_METERING_COLLECTOR_ADDRESS: collector.address,
      ...more,
    };
    return (await reeve(['check'], env)).stdout;
  };
  t.match(
    await check(),
    /metering\n-+\n√ spool is writable; it will be made[^\n]*\n√ there is no spool yet[^\n]*\n√ spool has room\n√ collector accepts connections/,
  );
  t.match(await check({ REEVE_METERING_COLLECTOR_ADDRESS: '[::1]:1' }), /nothing listens at \[::1\]:1/);
  mkdirSync(dir);
  writeFileSync(join(dir, '000000000001.wal'), Buffer.alloc(800_000));
  writeFileSync(join(dir, '000000000002.wal.corrupt'), '');
  mkdirSync(`${dir}.fenced-0a1b2c3d`);
  const said = await check();
  t.match(said, /√ spool is writable\n/);
  t.match(said, /‼ spool has room\n {4}\S+ has 800000 of 1048576 bytes\n {4}hint: single records are folded/);
  t.match(
    said,
    /× spool is sound\n {4}\S+000000000001\.wal at 0: unreadable[\s\S]*‼ spool is whole\n {4}\S+000000000002\.wal\.corrupt was found damaged/,
  );
  t.match(said, /‼ spool is its own\n {4}\S+fenced-0a1b2c3d was fenced/);
  writeFileSync(join(dir, '000000000003.wal'), Buffer.alloc(800_000));
  t.match(await check(), /× spool has room\n/);
  if (process.getuid?.() !== 0) {
    chmodSync(dir, 0o500);
    t.match(await check(), /× spool is writable\n {4}\S+: EACCES/);
    chmodSync(dir, 0o700);
  }
});
