/**
 * Canaries: secrets are planted wherever a client, an application or an operator may put one, and looked for in everything that the
 * sidecar says: its log at the most talkative, its metrics, its admin pages, its own answers, and the command that asks it.
 */
import { writeFileSync } from 'node:fs';
import t from 'tap';
import { reeve } from '../helpers/command.ts';
import { exchangeRaw } from '../helpers/raw-client.ts';
import { childSidecar, httpBackend, settings } from '../helpers/sidecar.ts';
import { document, makeTenancy, tenant } from '../helpers/tenancy.ts';
import { apiKeyFor, tokenFor } from '../helpers/tokens.ts';

const planted = new Set<string>();
const canary = (name: string): string => {
  planted.add(name);
  return `canary${name}Zq7`;
};

t.test(
  'no secret is in a log line, a metric, an admin page, an answer of our own or the output of the command',
  async (t) => {
    const upstream = await httpBackend(t, (_req, res) => {
      res.setHeader('set-cookie', `s=${canary('SetCookie')}`);
      res.end(canary('ResponseBody'));
    });
    const key = apiKeyFor('acme1');
    const pepper = canary('Pepper');
    const dir = makeTenancy({
      // An operator's slip: the key itself where its hash belongs.
      'slip.yaml': tenant('slip', {
        identity: { claims: ['org_slip'], apiKeys: [{ id: 'k9', hash: canary('KeyAsHash') }] },
      }),
      'provider-slip.yaml': document('IdentityProvider', 'other', {
        type: 'jwt',
        issuer: 'https://other.test',
        audiences: ['api'],
        algorithms: ['RS256'],
        jwks: { url: `https://user:${canary('UrlPassword')}@127.0.0.1:1/keys` },
        tenantClaim: 'org_id',
      }),
    });
    t.teardown(() => dir.cleanUp());
    writeFileSync(dir.pepperFile, pepper);
    const sidecar = await childSidecar(t, settings(upstream, dir, { 'log.level': 'debug', 'log.access': 'all' }));
    const good = tokenFor('org_acme', { email: canary('Claim') });
    const forms: readonly string[] = [
      `Authorization: Bearer ${good}`,
      `Authorization: Bearer ${good.slice(0, -12)}${canary('Sig').slice(0, 12)}`,
      `Authorization: Bearer ${canary('Bearer')}`,
      `Authorization: Basic ${canary('Basic')}`,
      `Authorization: Bearer a\r\nAuthorization: Bearer ${canary('Second')}`,
      `Authorization: Bearer rk_acme1_${canary('ApiKeyBearer')}`,
      `X-Api-Key: ${key.key}`,
      `X-Api-Key: rk_acme1_${canary('ApiKey')}`,
      `X-Api-Key: ${canary('NoForm')}`,
      `X-Tenant-Id: ${canary('Spoof')}\r\nTxn-Token: ${canary('TxnToken')}`,
      `Cookie: session=${canary('Cookie')}`,
      `Proxy-Authorization: Basic ${canary('Proxy')}`,
      `X-Secret: ${canary('Header')}`,
      `Bad Header: ${canary('BadHeader')}`,
      `Connection: ${canary('Nominated')}, authorization`,
    ];
    let answers = '';
    for (const fields of forms) {
      const target = `/orders?token=${canary('Query')}`;
      const bytes = `POST ${target} HTTP/1.1\r\nHost: a\r\n${fields}\r\nContent-Length: 20\r\n\r\n${canary('Body').padEnd(20)}`;
      const { text } = await exchangeRaw(sidecar.ports.inbound, bytes, { responses: 1, waitMs: 2000 });
      // What the application itself answers is the client's.
      if (!text.startsWith('HTTP/1.1 200')) answers += text;
    }
    // The last line of the log is written when the sidecar has ended.
    let said = answers;
    const { admin, status } = sidecar.ports;
    for (const [port, path] of [
      [status, '/metrics'],
      [admin, '/'],
      [admin, '/v1/config'],
      [admin, '/v1/tenants'],
      [admin, '/v1/tenants/acme'],
      [admin, '/v1/tenants/slip'],
      [admin, '/v1/limits/acme'],
      [admin, '/v1/explain?tenant=acme'],
      [admin, '/v1/traffic'],
    ] as const)
      said += (
        await exchangeRaw(port, `GET ${path} HTTP/1.1\r\nHost: localhost\r\n\r\n`, { responses: 1, waitMs: 2000 })
      ).text;
    const at = ['--admin', `http://127.0.0.1:${admin}`];
    for (const args of [
      ['tenants', 'get', 'acme', ...at],
      ['tenants', 'get', 'acme', '--tenancy', dir.dir, '-o', 'json'],
      ['limits', 'check', 'acme', '-o', 'json', ...at],
      ['check', '--live', '--tenancy', dir.dir, ...at],
      ['config', 'validate', dir.dir, '-o', 'json'],
      ['config', 'diff', 'config/tenancy', dir.dir, '-o', 'json'],
    ]) {
      const { stdout, stderr } = await reeve(args);
      said += stdout + stderr;
    }
    sidecar.child.kill('SIGTERM');
    await sidecar.exited;
    said += sidecar.lines.join('\n');
    t.ok(
      sidecar.lines.filter((line) => line.includes('"http.request"')).length >= forms.length - 3,
      'requests are logged',
    );
    const found = [...new Set(said.match(/canary[A-Za-z]+Zq7/g))];
    t.same(found, [], 'no canary');
    t.comment(
      `figure: ${found.length} of ${planted.size} planted canaries in log, metrics, admin API, answers, command`,
    );
    const parts = good.split('.') as [string, string, string];
    for (const secret of [parts[1], parts[2], key.key, key.hash.slice('hmac-sha256:'.length), 'secret-of-acme1'])
      t.notOk(said.includes(secret), secret);
  },
);
