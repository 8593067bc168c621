/** G5: a client cannot tell the application who it is. Every form is sent by tenant acme and tries to be globex; the application records what it was told. */
import t from 'tap';
import { exchangeRaw } from '../helpers/raw-client.ts';
import { engine, httpBackend, sidecarForTest } from '../helpers/sidecar.ts';
import { tokenFor } from '../helpers/tokens.ts';

const NL = '\r\n';
const V = 'globex';

/** Fields, and what goes around them where that is the form. */
const FIELDS: readonly string[] = [
  `X-Tenant-Id: ${V}`,
  `x-tenant-id: ${V}`,
  `X-TENANT-ID: ${V}`,
  `X_Tenant_Id: ${V}`,
  `x.tenant.id: ${V}`,
  `X-Tenant_Id: ${V}`,
  `X-Tenant.Id: ${V}`,
  `x_tenant-id: ${V}`,
  // Servers that hand headers over as variables read every separator as one: CGI, WSGI, PHP, lighttpd.
  `X~Tenant~Id: ${V}`,
  `X!Tenant!Id: ${V}`,
  `X+Tenant+Id: ${V}`,
  `X-Tenant*Id: ${V}`,
  `x|tenant|id: ${V}`,
  `X'Tenant'Id: ${V}`,
  `X#Tenant$Id: ${V}`,
  `X\`Tenant^Id: ${V}`,
  `X%Tenant&Plan: ${V}`,
  `X-Tenant-Id: ${V}${NL}X-Tenant-Id: ${V}`,
  `X-Tenant-Id: acme${NL}X-Tenant-Id: ${V}`,
  `X-Tenant-Id: ${V}, acme`,
  `X-Tenant-Id:${V}`,
  `X-Tenant-Id:\t${V}`,
  `X-Tenant-Id: ${V}\t`,
  `X-Tenant-Id:   ${V}   `,
  `X-Tenant-Id : ${V}`,
  `X-Tenant-Id\t: ${V}`,
  ` X-Tenant-Id: ${V}`,
  `X-Tenant-Id:${NL} ${V}`,
  `A: b${NL} X-Tenant-Id: ${V}`,
  `A: b\nX-Tenant-Id: ${V}`,
  `A: b\rX-Tenant-Id: ${V}`,
  `X-Tenant-Id\0: ${V}`,
  `X-Tenant-Id: ${V}\0`,
  `X-Tenant-Id: \xa0${V}`,
  `X-Tenant-Id\xa0: ${V}`,
  `X-Tenant-Plan: enterprise`,
  `X-Tenant-Degrade: 0`,
  `X-Tenant-: ${V}`,
  `Tenant-Id: ${V}`,
  `Tenant_Id: ${V}`,
  `tenant.id: ${V}`,
  `TENANT-ID: ${V}`,
  `Txn-Token: a.b.c`,
  `txn_token: a.b.c`,
  `TXN.TOKEN: a.b.c`,
  `txn~token: a.b.c`,
  `tenant+id: ${V}`,
  `x^reeve^tenant: ${V}`,
  `X-Reeve-Tenant: ${V}`,
  `x_reeve_usage: tokens=1`,
  `X-Reeve-Context: ${V}`,
  `X-Forwarded-Client-Cert: URI=spiffe://x/tenant/${V}/y`,
  `x_forwarded_client_cert: ${V}`,
  `X-Forwarded~Client~Cert: ${V}`,
  `TE: trailers, x-tenant-id${NL}X-Tenant-Id: ${V}`,
  `Keep-Alive: x-tenant-id${NL}X-Tenant-Id: ${V}`,
  `Connection: X~Tenant~Id`,
  `Connection: close${NL}Connection: tenant.id`,
  `__proto__: x${NL}X-Tenant-Id: ${V}`,
  `constructor: x${NL}X-Tenant-Id: ${V}`,
  `Connection: x-tenant-id${NL}X-Tenant-Id: ${V}`,
  `Connection: X_Tenant_Id`,
  `Connection: close, x-tenant-plan`,
  `Connection: txn-token`,
  `${`a: b${NL}`.repeat(96)}X-Tenant-Id: ${V}`,
  `${`a: b${NL}`.repeat(1100)}X-Tenant-Id: ${V}`,
  `Upgrade: websocket${NL}Connection: Upgrade${NL}X-Tenant-Id: ${V}`,
  `Upgrade: h2c${NL}Connection: Upgrade${NL}X-Tenant-Id: ${V}`,
];

const WHOLE: readonly ((auth: string) => string)[] = [
  (auth) =>
    `POST /x HTTP/1.1${NL}Host: a${NL}${auth}${NL}Transfer-Encoding: chunked${NL}Trailer: X-Tenant-Id${NL}${NL}0${NL}X-Tenant-Id: ${V}${NL}${NL}`,
  (auth) =>
    `POST /x HTTP/1.1${NL}Host: a${NL}${auth}${NL}Transfer-Encoding: chunked${NL}${NL}0${NL}X_Tenant_Id: ${V}${NL}${NL}`,
  (auth) =>
    `POST /x HTTP/1.1${NL}Host: a${NL}${auth}${NL}Transfer-Encoding: chunked${NL}Trailer: X~Tenant~Id, A${NL}${NL}0${NL}X~Tenant~Id: ${V}${NL}A: b${NL}${NL}`,
  (auth) => `GET http://a/x HTTP/1.1${NL}Host: b${NL}${auth}${NL}X-Tenant-Id: ${V}${NL}${NL}`,
  (auth) => `GET /x HTTP/1.0${NL}${auth}${NL}X-Tenant-Id: ${V}${NL}${NL}`,
  (auth) => `OPTIONS * HTTP/1.1${NL}Host: a${NL}${auth}${NL}X-Tenant-Id: ${V}${NL}${NL}`,
  (auth) =>
    `OPTIONS /x HTTP/1.1${NL}Host: a${NL}${auth}${NL}Origin: http://b${NL}Access-Control-Request-Method: GET${NL}X-Tenant-Id: ${V}${NL}${NL}`,
  (auth) => `GET /healthz HTTP/1.1${NL}Host: a${NL}${auth}${NL}X-Tenant-Id: ${V}${NL}${NL}`,
  (auth) => `HEAD /x HTTP/1.1${NL}Host: a${NL}${auth}${NL}X-Tenant-Id: ${V}${NL}${NL}`,
  (auth) =>
    `GET /x HTTP/1.1${NL}Host: a${NL}${auth}${NL}${NL}GET /y HTTP/1.1${NL}Host: a${NL}${auth}${NL}X-Tenant-Id: ${V}${NL}${NL}`,
  (auth) =>
    `POST /x HTTP/1.1${NL}Host: a${NL}${auth}${NL}Expect: 100-continue${NL}Content-Length: 1${NL}X-Tenant-Id: ${V}${NL}${NL}x`,
  () => `GET /x HTTP/1.1${NL}Host: a${NL}X-Tenant-Id: ${V}${NL}${NL}`,
  () => `OPTIONS * HTTP/1.1${NL}Host: a${NL}X-Tenant-Id: ${V}${NL}${NL}`,
  () => `GET /x HTTP/1.1${NL}Host: globex.test${NL}${NL}`,
];

for (const strict of ['false', 'true'] as const) {
  t.test(`no form reaches the application (strict: ${strict})`, async (t) => {
    const told: string[] = [];
    let requests = 0;
    const upstream = await httpBackend(t, (req, res) => {
      requests++;
      const note = (raw: readonly string[]): void => {
        for (let i = 0; i < raw.length; i += 2) {
          const folded = (raw[i] as string).toLowerCase().replace(/[^a-z0-9]/g, '-');
          const isOurs =
            (folded === 'x-tenant-id' && raw[i + 1] === 'acme') ||
            (folded === 'x-tenant-plan' && raw[i + 1] === 'free');
          if (/^(x-tenant-|tenant-|txn-token|x-reeve-|x-forwarded-client-cert)/.test(folded) && !isOurs)
            told.push(`${raw[i]}: ${raw[i + 1]}`);
        }
      };
      note(req.rawHeaders);
      if (req.rawHeaders.filter((each, at) => at % 2 === 0 && each.toLowerCase() === 'x-tenant-id').length !== 1)
        told.push(`not exactly one tenant: ${req.method} ${req.url} ${req.rawHeaders.join(' ').slice(-300)}`);
      req.resume().on('end', () => {
        note(req.rawTrailers);
        res.end('ok');
      });
    });
    const sidecar = await sidecarForTest(t, upstream, { settings: { 'inbound.strict': strict } });
    const auth = `Authorization: Bearer ${tokenFor('org_acme')}`;
    const forms = [
      ...FIELDS.map((fields) => `GET /x HTTP/1.1${NL}Host: a${NL}${auth}${NL}${fields}${NL}${NL}`),
      ...WHOLE.map((make) => make(auth)),
    ];
    const control = await exchangeRaw(sidecar.port, `GET /x HTTP/1.1${NL}Host: a${NL}${auth}${NL}${NL}`, {
      responses: 1,
    });
    t.equal(control.responses[0]?.status, 200, 'the control passes');
    for (const form of forms) await exchangeRaw(sidecar.port, form, { responses: 1, waitMs: 60 });
    t.same(told, []);
    t.ok(forms.length >= 60, `${forms.length} forms`);
    t.ok(requests > 1, `${requests} requests reached the application as acme`);
    t.comment(
      `G05 spoofing${strict === 'true' ? ' (strict)' : ''}, ${engine} engine: ${told.length} of ${forms.length} forms reached the application`,
    );
  });
}
