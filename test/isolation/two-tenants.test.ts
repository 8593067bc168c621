/**
 * Requests of two tenants on the same connections, pipelined, through a real sidecar with either engine: the application is told the tenant and the
 * plan of each by its own credential, and each client gets its own answer.
 */
import t from 'tap';
import { exchangeRaw } from '../helpers/raw-client.ts';
import { httpBackend, sidecarForTest } from '../helpers/sidecar.ts';
import { makeTenancy, plan, tenant } from '../helpers/tenancy.ts';
import { tokenFor } from '../helpers/tokens.ts';

const CONNECTIONS = 8;
/** Of each tenant, each of another length. */
const TOKENS = 12;
const ROUNDS = 20;
const PIPELINED = 6;
const NL = '\r\n';

const TENANTS = [
  { id: 'acme', plan: 'free' },
  { id: 'globex', plan: 'large' },
] as const;

for (const fastPath of ['true', 'false'])
  t.test(`each is told as what it is, fast path ${fastPath}`, async (t) => {
    const upstream = await httpBackend(t, ({ headers }, response) => {
      const told = Object.keys(headers).filter((name) => name.startsWith('x-tenant'));
      response.end(`${headers['x-mark']} ${told.map((name) => headers[name]).join(' ')}`);
    });
    const tenancy = makeTenancy({
      'plans.yaml': TENANTS.map((each) => plan(each.plan)).join(''),
      'tenants.yaml': TENANTS.map(({ id, plan }) => tenant(id, { plan, identity: { claims: [`org_${id}`] } })).join(''),
    });
    const { port } = await sidecarForTest(t, upstream, { tenancy, settings: { 'wire.fastPath': fastPath } });
    const tokens = TENANTS.map(({ id }) =>
      Array.from({ length: TOKENS }, (_, n) => tokenFor(`org_${id}`, { pad: 'p'.repeat(10 * n) })),
    );
    const seen: string[] = [];
    const sent: string[] = [];
    await Promise.all(
      Array.from({ length: CONNECTIONS }, async (_, connection) => {
        for (let round = 0; round < ROUNDS; round++) {
          const requests = Array.from({ length: PIPELINED }, (_, at) => {
            const who = Math.random() < 0.5 ? 0 : 1;
            const mark = `m-${connection}-${round}-${at}`;
            const { id, plan } = TENANTS[who];
            sent.push(`${mark} ${id} ${plan}`);
            const token = tokens[who]?.[Math.floor(Math.random() * TOKENS)];
            return `GET /${mark} HTTP/1.1${NL}Host: a${NL}X-Tenant-Id: evil${NL}X-Mark: ${mark}${NL}Authorization: Bearer ${token}${NL}${NL}`;
          });
          const { responses } = await exchangeRaw(port, requests.join(''), { responses: PIPELINED });
          seen.push(...responses.map(({ body }) => body));
        }
      }),
    );
    t.equal(seen.length, CONNECTIONS * ROUNDS * PIPELINED);
    t.same(seen.sort(), sent.sort());
  });
