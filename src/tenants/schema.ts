/**
 * The schema of every document, written once. From it are generated: the validators (ajv standalone),
 * `config/schema/*.json` for editors, `docs/config.md`, the sidecar's flags and its REEVE_ variables.
 * A `title` names what a value is, for error messages; `examples[0]` is what the remedy shows.
 */
import Type, { type Static, type TObject, type TProperties } from 'typebox';
import { NAME } from './name.ts';

const AMOUNT = String.raw`\d+(_\d+)*(\.\d+)?`;

/** RFC 1035 §2.3.1, RFC 1123 §2.1. */
const LABEL = '[A-Za-z0-9]([-A-Za-z0-9]{0,61}[A-Za-z0-9])?';

const strict = <P extends TProperties>(properties: P, description: string): TObject<P> =>
  Type.Object(properties, { additionalProperties: false, description });
const text = (title: string, pattern: string, examples: string[], description: string, more: object = {}) =>
  Type.String({ title, pattern, examples, description, maxLength: 4096, ...more });

const rate = (description: string, more: object = {}) =>
  text('rate', `^${AMOUNT}/(s|min|h|d)$`, ['200/s', '90/min'], description, more);
const byteRate = (description: string) =>
  text('byte rate', `^${AMOUNT}(B|KiB|MiB|GiB|kB|MB|GB)/(s|min|h|d)$`, ['20MiB/s'], description);
const size = (description: string, more: object = {}) =>
  text('size', `^${AMOUNT}(B|KiB|MiB|GiB|TiB|kB|MB|GB|TB)$`, ['10KiB', '5MiB'], description, more);
const duration = (description: string, more: object = {}) =>
  text('duration', `^${AMOUNT}(ms|s|m|min|h|d)$`, ['250ms', '2s'], description, more);
const percent = (description: string, more: object = {}) =>
  text('percentage', `^${AMOUNT}%$`, ['20%'], description, more);
const name = (description: string) => text('name', NAME, ['acme'], description, { maxLength: 63 });
const port = (description: string, preset: number) =>
  Type.Integer({ minimum: 0, maximum: 65535, default: preset, description });
const flag = (description: string, preset: boolean) => Type.Boolean({ default: preset, description });

const requestRate = strict(
  {
    limit: rate('Requests admitted over time, weighted by the cost of the route.'),
    burst: Type.Optional(
      Type.Number({
        exclusiveMinimum: 0,
        maximum: 1e9,
        description: 'Requests that may come at once. Default: one second of the limit, at least 1.',
      }),
    ),
    credits: Type.Optional(
      strict(
        {
          earn: percent('Share of the unused allowance that is banked, at most 100%.'),
          cap: duration('The bank holds at most this long of the limit; at most 30d.'),
        },
        'Banked burst: what a quiet tenant saves, it may spend before anything else is degraded.',
      ),
    ),
  },
  'How many requests.',
);

const rates = strict(
  {
    requests: Type.Optional(requestRate),
    egress: Type.Optional(
      strict(
        { limit: byteRate('Response bytes over time, debited when the response is done.') },
        'How many response bytes.',
      ),
    ),
  },
  'Rates over time.',
);

const concurrency = Type.Integer({ minimum: 1, maximum: 1_000_000, description: 'Requests in flight at once.' });

const rung = Type.Union(
  [
    Type.Literal('credit'),
    Type.Literal('deprioritize'),
    Type.Literal('reject'),
    strict({ shape: duration('Longest delay, 1ms to 10s.') }, 'Delay the request until the limit allows it.'),
    strict(
      { stale: duration('Oldest answer.') },
      'Answer from a stale copy. Accepted; takes effect in a later version.',
    ),
    strict({ route: Type.Literal('degraded') }, "Send it to the route's degraded upstream."),
    strict(
      { features: Type.Array(name('A feature the application should leave out.'), { minItems: 1, maxItems: 16 }) },
      'Tell the application to degrade.',
    ),
  ],
  {
    title: 'degrade rung',
    examples: ['credit', 'shape: 250ms', 'route: degraded', 'features: [no-recommendations]', 'reject'],
    description: 'One step of the ladder.',
  },
);

const quota = Type.Object(
  {},
  { additionalProperties: true, title: 'quota', description: 'A quota. Accepted; takes effect in a later version.' },
);

const metadata = strict(
  {
    name: name('Unique among the documents of its kind.'),
    labels: Type.Optional(
      Type.Record(Type.String({ maxLength: 63 }), Type.String({ maxLength: 256 }), {
        description: 'Free labels, shown by `reeve tenants get`.',
      }),
    ),
  },
  'What the document is called.',
);

const document = <K extends string, S extends TProperties>(kind: K, spec: TObject<S>, description: string) =>
  strict({ apiVersion: Type.Literal('reeve.dev/v1'), kind: Type.Literal(kind), metadata, spec }, description);

export const PlanSchema = document(
  'Plan',
  strict(
    {
      weight: Type.Optional(
        Type.Number({
          exclusiveMinimum: 0,
          maximum: 1e6,
          default: 1,
          description: 'Share under contention. Fair queues that use it come in a later version.',
        }),
      ),
      rate: Type.Optional(rates),
      concurrency: Type.Optional(concurrency),
      quotas: Type.Optional(
        Type.Record(Type.String({ maxLength: 63 }), quota, {
          description: 'Quotas by meter. Accepted; take effect in a later version.',
        }),
      ),
      degrade: Type.Optional(
        Type.Array(rung, {
          maxItems: 8,
          description: 'The ladder from the first to the last rung. Default: [credit, reject].',
        }),
      ),
      shadow: Type.Optional(flag('Decide and count, but let every request pass.', false)),
    },
    'What the tier allows.',
  ),
  'A subscription tier.',
);

export const TenantSchema = document(
  'Tenant',
  strict(
    {
      plan: name('The name of its Plan.'),
      state: Type.Optional(
        Type.Union(
          [
            Type.Literal('pending'),
            Type.Literal('active'),
            Type.Literal('readonly'),
            Type.Literal('suspended'),
            Type.Literal('offboarding'),
          ],
          {
            title: 'tenant state',
            examples: ['active'],
            default: 'active',
            description:
              'pending, suspended and offboarding refuse every request; readonly refuses methods that change state.',
          },
        ),
      ),
      timezone: Type.Optional(
        Type.String({
          title: 'IANA time zone',
          maxLength: 64,
          examples: ['Europe/Berlin'],
          default: 'UTC',
          description: 'Names its quota windows.',
        }),
      ),
      overrides: Type.Optional(
        strict(
          {
            rate: Type.Optional(rates),
            concurrency: Type.Optional(concurrency),
            shadow: Type.Optional(flag('As in the plan.', false)),
          },
          'What differs from the plan, key by key.',
        ),
      ),
      identity: Type.Optional(
        strict(
          {
            claims: Type.Optional(
              Type.Array(Type.String({ minLength: 1, maxLength: 256 }), {
                maxItems: 64,
                description: 'External ids that mean this tenant. The name itself always does.',
              }),
            ),
            hosts: Type.Optional(
              Type.Array(
                text('host name', `^${LABEL}(\\.${LABEL})*$`, ['acme.app.example'], 'A host name.', { maxLength: 253 }),
                { maxItems: 64, description: 'Host names that mean this tenant.' },
              ),
            ),
            apiKeys: Type.Optional(
              Type.Array(
                strict(
                  {
                    id: text('key id', '^[A-Za-z0-9]{1,32}$', ['k1'], 'The middle part of rk_<id>_<secret>.'),
                    hash: text(
                      'key hash',
                      '^hmac-sha256:[0-9a-f]{64}$',
                      [`hmac-sha256:${'0'.repeat(64)}`],
                      'HMAC-SHA256 of the whole key under the pepper, hex.',
                    ),
                    expires: Type.Optional(
                      text(
                        'date',
                        String.raw`^\d{4}-\d{2}-\d{2}(T\d{2}:\d{2}:\d{2}(\.\d+)?Z)?$`,
                        ['2027-01-01'],
                        'No longer valid from this UTC instant on.',
                      ),
                    ),
                  },
                  'One key.',
                ),
                { maxItems: 2, description: 'At most two live keys, so that they can be rotated.' },
              ),
            ),
          },
          'By what the tenant is recognised.',
        ),
      ),
    },
    'Who the tenant is and what it may take.',
  ),
  'One tenant.',
);

export const IdentityProviderSchema = document(
  'IdentityProvider',
  strict(
    {
      type: Type.Literal('jwt', { description: 'Signed JSON Web Tokens (RFC 7519, RFC 8725).' }),
      issuer: Type.String({
        minLength: 1,
        maxLength: 512,
        examples: ['https://id.example'],
        description: 'The exact `iss`.',
      }),
      audiences: Type.Array(Type.String({ minLength: 1, maxLength: 256 }), {
        minItems: 1,
        maxItems: 16,
        description: 'One of these must be in `aud`.',
      }),
      algorithms: Type.Array(
        Type.Union(
          (
            [
              'RS256',
              'RS384',
              'RS512',
              'PS256',
              'PS384',
              'PS512',
              'ES256',
              'ES384',
              'ES512',
              'EdDSA',
              'HS256',
              'HS384',
              'HS512',
            ] as const
          ).map((each) => Type.Literal(each)),
        ),
        {
          minItems: 1,
          maxItems: 13,
          description: 'The only algorithms that are accepted. HS* cannot be mixed with the others.',
        },
      ),
      jwks: Type.Union(
        [
          strict(
            {
              file: Type.String({
                minLength: 1,
                maxLength: 1024,
                description: 'A JWK set, relative to the tenancy directory. Hot.',
              }),
            },
            'Keys from a file.',
          ),
          strict(
            {
              url: Type.String({
                pattern: '^https?://',
                maxLength: 1024,
                title: 'URL',
                examples: ['https://id.example/jwks.json'],
                description: 'A JWK set by https, or by http on loopback. No redirects.',
              }),
              allowPrivate: Type.Optional(flag('Let the URL resolve to a private or loopback address.', false)),
            },
            'Keys from a URL.',
          ),
        ],
        { title: 'key source', examples: ['file: keys.json'], description: 'Where the keys are.' },
      ),
      tenantClaim: Type.String({
        minLength: 1,
        maxLength: 256,
        examples: ['org_id', 'app.tenant'],
        description: 'Claim that names the tenant: a claim of exactly this name, else a path separated by dots.',
      }),
      tokenType: Type.Optional(
        Type.String({
          maxLength: 64,
          examples: ['at+jwt'],
          description: 'The exact `typ` a token must carry, case-insensitive. Default: JWT, at+jwt or none.',
        }),
      ),
      clockSkew: Type.Optional(duration('Tolerated between clocks, at most 10min.', { default: '5s' })),
    },
    'How its tokens are verified.',
  ),
  'Who vouches for tenants.',
);

export const RouteSchema = document(
  'Route',
  strict(
    {
      match: strict(
        {
          path: text(
            'path pattern',
            // A request's path never holds `?` or `#`: they begin its query and its fragment.
            '^/[!"$->@-~]*$',
            ['/exports/*'],
            'An exact path, or a prefix that ends in `/*`. Without a query.',
            { maxLength: 1024 },
          ),
          methods: Type.Optional(
            Type.Array(text('method', '^[A-Z]{1,20}$', ['POST'], 'An HTTP method.'), {
              minItems: 1,
              maxItems: 16,
              description: 'Default: every method.',
            }),
          ),
        },
        'Which requests.',
      ),
      cost: Type.Optional(
        Type.Number({
          minimum: 0,
          maximum: 1e6,
          default: 1,
          description: 'What one request takes from the request rate.',
        }),
      ),
      critical: Type.Optional(flag('Never shaped, degraded or refused by the ladder; still counted.', false)),
      rate: Type.Optional(
        strict({ requests: requestRate }, 'A limit of this route for each tenant, inside the tenant’s own.'),
      ),
      degraded: Type.Optional(
        strict({ upstream: name('A name in the sidecar’s `upstreams`.') }, 'Where degraded requests go.'),
      ),
      timeout: Type.Optional(duration('From the end of the request to the first byte of the response, 1ms to 1h.')),
      bodyMax: Type.Optional(size('Largest request body.')),
    },
    'What the route costs and where it may go. The most specific match wins: exact before prefix, longer before shorter, with methods before without.',
  ),
  'A class of requests. At most 1,000 are in force.',
);

const upstreamUrl = (description: string) =>
  text(
    'upstream',
    String.raw`^(http://[^/\s]+|unix:/\S+)$`,
    ['http://127.0.0.1:8080', 'unix:/run/app.sock'],
    description,
    { maxLength: 1024 },
  );

export const SidecarSchema = document(
  'Sidecar',
  strict(
    {
      upstream: upstreamUrl('The application.'),
      upstreams: Type.Optional(
        Type.Record(Type.String({ maxLength: 63 }), upstreamUrl('An upstream.'), {
          description: 'Other upstreams, by the name routes use.',
        }),
      ),
      tenancy: strict(
        {
          dir: Type.String({ minLength: 1, description: 'Directory of tenancy documents. Hot.' }),
          allowShrink: Type.Optional(flag('Allow one change to remove more than 20 % of the tenants.', false)),
          removeGrace: Type.Optional(
            duration('How long the objects of a file that vanished live on, at most 1d.', { default: '2s' }),
          ),
        },
        'Where the tenancy is.',
      ),
      stateDir: Type.Optional(
        Type.String({
          minLength: 1,
          description: 'Directory for the last known good configuration. Unset: none is kept.',
        }),
      ),
      inbound: Type.Optional(
        strict(
          {
            host: Type.Optional(Type.String({ default: '0.0.0.0', description: 'Address to listen on.' })),
            port: Type.Optional(port('Port to listen on; 0 picks a free one.', 15006)),
            class: Type.Optional(
              Type.Union([Type.Literal('edge'), Type.Literal('mesh')], {
                title: 'trust class',
                examples: ['edge'],
                default: 'edge',
                description: 'edge: clients, untrusted. mesh: other sidecars; their trace context is kept.',
              }),
            ),
            trust: Type.Optional(
              Type.Union([Type.Literal('credentials'), Type.Literal('network')], {
                title: 'trust',
                examples: ['credentials'],
                default: 'credentials',
                description:
                  'network: host, path and header sources prove the tenant. Only behind a proxy that sets them.',
              }),
            ),
            strict: Type.Optional(
              flag('Refuse requests that carry protected names with 400 instead of removing them.', false),
            ),
            trustedProxies: Type.Optional(
              Type.Array(Type.String({ maxLength: 64, examples: ['10.0.0.0/8'] }), {
                maxItems: 64,
                description: 'Peers (CIDR) whose x-forwarded-* headers are kept and extended.',
              }),
            ),
          },
          'The listener the network reaches.',
        ),
      ),
      identity: Type.Optional(
        strict(
          {
            sources: Type.Optional(
              Type.Array(
                Type.Union(
                  (['jwt', 'apiKey', 'host', 'path', 'header'] as const).map((each) => Type.Literal(each)),
                  { title: 'identity source', examples: ['jwt'] },
                ),
                {
                  minItems: 1,
                  maxItems: 5,
                  default: ['jwt', 'apiKey', 'host'],
                  description: 'Where the tenant is looked for. All that yield one must agree.',
                },
              ),
            ),
            header: Type.Optional(
              Type.String({
                pattern: '^[a-z][a-z0-9-]{0,62}$',
                title: 'header name',
                examples: ['x-org'],
                default: 'x-org',
                description: 'Header of the `header` source; not one of the protected names.',
              }),
            ),
            pathPrefix: Type.Optional(
              text(
                'path prefix',
                '^/([!-~]*/)?$',
                ['/t/'],
                'The segment after it is the tenant, for the `path` source.',
                { default: '/t/' },
              ),
            ),
            apiKeyHeader: Type.Optional(
              Type.String({
                pattern: '^[a-z][a-z0-9-]{0,62}$',
                title: 'header name',
                examples: ['x-api-key'],
                default: 'x-api-key',
                description: 'Header that carries an API key; `authorization: Bearer rk_…` works too.',
              }),
            ),
            pepperFile: Type.Optional(
              Type.String({
                minLength: 1,
                description:
                  'File with the secret under which API keys are hashed. Required by the apiKey source when a tenant has keys.',
              }),
            ),
            injectCredentials: Type.Optional(flag('Leave the credential on the request to the application.', true)),
          },
          'Who is calling.',
        ),
      ),
      anonymous: Type.Optional(
        strict(
          {
            limit: Type.Optional(
              rate('Unidentified requests per peer prefix (/24, /64); beyond it 429 instead of 401.', {
                default: '100/s',
              }),
            ),
            burst: Type.Optional(Type.Number({ minimum: 1, maximum: 1e6, default: 200, description: 'At once.' })),
          },
          'Traffic without a verified tenant.',
        ),
      ),
      wire: Type.Optional(
        strict(
          {
            headBytesMax: Type.Optional(size('Request line and headers, 1KiB to 16MiB.', { default: '32KiB' })),
            headersMax: Type.Optional(
              Type.Integer({ minimum: 8, maximum: 1000, default: 100, description: 'Header fields of a request.' }),
            ),
            targetBytesMax: Type.Optional(size('Request target, 1KiB to 16MiB.', { default: '8KiB' })),
            bodyBytesMax: Type.Optional(size('Request body, where the route says nothing.', { default: '64MiB' })),
            headTimeout: Type.Optional(duration('For a whole request head to arrive, 1ms to 1h.', { default: '10s' })),
            idleTimeout: Type.Optional(duration('Without a byte in either direction, 1ms to 1h.', { default: '60s' })),
            connectTimeout: Type.Optional(duration('To connect to an upstream, 1ms to 1h.', { default: '2s' })),
            responseTimeout: Type.Optional(
              duration('For the head of a response, where the route says nothing, 1ms to 1h.', { default: '30s' }),
            ),
            connectionsMax: Type.Optional(
              Type.Integer({
                minimum: 1,
                maximum: 1_000_000,
                default: 20_000,
                description: 'Client connections at once.',
              }),
            ),
            upstreamConnectionsMax: Type.Optional(
              Type.Integer({ minimum: 1, maximum: 65_535, default: 256, description: 'Connections to each upstream.' }),
            ),
            via: Type.Optional(flag('Add a Via header both ways.', false)),
            fastPath: Type.Optional(
              flag('Serve plain requests by the fast engine; false: everything by the general one.', true),
            ),
          },
          'Bounds of the wire.',
        ),
      ),
      status: Type.Optional(
        strict(
          {
            host: Type.Optional(Type.String({ default: '0.0.0.0', description: 'Address.' })),
            port: Type.Optional(port('Port; 0 picks a free one.', 15020)),
          },
          '/metrics, /livez, /readyz, /startupz.',
        ),
      ),
      admin: Type.Optional(
        strict(
          {
            host: Type.Optional(
              Type.Union([Type.Literal('127.0.0.1'), Type.Literal('::1'), Type.Literal('localhost')], {
                title: 'loopback address',
                examples: ['127.0.0.1'],
                default: '127.0.0.1',
                description: 'Loopback only.',
              }),
            ),
            port: Type.Optional(port('Port; 0 picks a free one.', 15000)),
          },
          'The read-only admin API.',
        ),
      ),
      drain: Type.Optional(
        strict(
          {
            grace: Type.Optional(
              duration('From SIGTERM to the end of the last request, at most 1h.', { default: '25s' }),
            ),
          },
          'How it stops.',
        ),
      ),
      log: Type.Optional(
        strict(
          {
            level: Type.Optional(
              Type.Union([Type.Literal('debug'), Type.Literal('info'), Type.Literal('warn'), Type.Literal('error')], {
                title: 'log level',
                examples: ['info'],
                default: 'info',
                description: 'Least severe line that is written.',
              }),
            ),
            access: Type.Optional(
              Type.Union([Type.Literal('off'), Type.Literal('errors'), Type.Literal('sampled'), Type.Literal('all')], {
                title: 'access log',
                examples: ['errors'],
                default: 'errors',
                description: 'Which requests are written.',
              }),
            ),
            sample: Type.Optional(
              percent('Share of requests written by `access: sampled`; errors always are.', { default: '1%' }),
            ),
          },
          'What is written to standard output.',
        ),
      ),
    },
    'How the sidecar runs. Read once, at start.',
  ),
  'The boot file. Every key of spec is also a flag (--inbound-port) and a variable (REEVE_INBOUND_PORT).',
);

export const schemas = {
  Sidecar: SidecarSchema,
  Plan: PlanSchema,
  Tenant: TenantSchema,
  IdentityProvider: IdentityProviderSchema,
  Route: RouteSchema,
} as const;

export type Kind = keyof typeof schemas;
export type SidecarDocument = Static<typeof SidecarSchema>;
export type PlanDocument = Static<typeof PlanSchema>;
export type TenantDocument = Static<typeof TenantSchema>;
export type IdentityProviderDocument = Static<typeof IdentityProviderSchema>;
export type RouteDocument = Static<typeof RouteSchema>;
