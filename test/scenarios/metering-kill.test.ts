/** A sidecar that is killed in mid-traffic, again and again: whatever a client saw whole is in the collector's ledger, once. */
import { request as httpRequest } from 'node:http';
import { join } from 'node:path';
import t from 'tap';
import { becomes } from '../helpers/processes.ts';
import { childSidecar, httpBackend, settings } from '../helpers/sidecar.ts';
import { makeTenancy } from '../helpers/tenancy.ts';
import { tokenFor } from '../helpers/tokens.ts';
import { grpcCollector } from '../metering/grpc-collector.ts';

const KILLS = 2;
const CLIENTS = 8;
const TRAFFIC_MS = 250;

/** One request, named by how many bytes it sends; whether its answer was whole. */
function ask(port: number, bytes: number): Promise<boolean> {
  return new Promise((resolve) => {
    const headers = { authorization: `Bearer ${tokenFor('org_acme')}`, 'content-length': bytes };
    const request = httpRequest({ port, host: '127.0.0.1', method: 'POST', agent: false, headers }, (response) => {
      response.resume();
      response.on('end', () => resolve(response.complete)).on('error', () => resolve(false));
    });
    request.on('error', () => resolve(false));
    request.end(Buffer.alloc(bytes, 'x'));
  });
}

t.test('killed in mid-traffic: nothing a client saw whole is missing, nothing is there twice', async (t) => {
  const upstream = await httpBackend(t, (req, res) => void req.resume().on('end', () => res.end('ok')));
  const tenancy = makeTenancy();
  t.teardown(() => tenancy.cleanUp());
  const collector = await grpcCollector(t);
  const own = { 'metering.dir': join(tenancy.stateDir, 'spool'), 'metering.collector.address': collector.address };
  const seen = new Set<number>();
  let asked = 0;
  for (let life = 0; life <= KILLS; life++) {
    const { child, ports, exited } = await childSidecar(t, settings(upstream, tenancy, own));
    const until = performance.now() + TRAFFIC_MS;
    const client = async (): Promise<void> => {
      while (performance.now() < until && child.exitCode === null && child.signalCode === null) {
        const bytes = ++asked;
        if (await ask(ports.inbound, bytes)) seen.add(bytes);
      }
    };
    const clients = Array.from({ length: CLIENTS }, client);
    if (life === KILLS) {
      await Promise.all(clients);
      child.kill('SIGTERM');
    } else {
      setTimeout(() => child.kill('SIGKILL'), TRAFFIC_MS * 0.7);
      if (life % 2 === 1) setTimeout(() => collector.end(), TRAFFIC_MS * 0.4);
      await Promise.all(clients);
    }
    await exited;
  }
  await becomes(() => collector.collector.byes === 1);
  const told = collector.records().map(({ bytesIn }) => bytesIn);
  t.ok(seen.size > 20, `${seen.size} answers`);
  t.equal(new Set(told).size, told.length, 'nothing is there twice');
  const has = new Set(told);
  t.strictSame(
    [...seen].filter((bytes) => !has.has(bytes)),
    [],
    'nothing is missing',
  );
  t.strictSame(
    told.filter((bytes) => bytes < 1 || bytes > asked),
    [],
    'nothing is there that nobody asked',
  );
  t.equal(collector.collector.ledger.filter(({ kind }) => kind === 'gap').length, 0);
  t.comment(
    `figure: ${KILLS} sidecars killed, ${seen.size} answers seen whole, ${told.length} records, 0 lost, 0 doubled`,
  );
});
