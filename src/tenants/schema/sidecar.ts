/** The boot file. */
import Type from 'typebox';
import { document, duration, flag, loopbackListener, percent, port, rate, size, strict, text } from './words.ts';

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
          description:
            'Directory for the last known good configuration and for what quotas counted. One sidecar’s alone. Unset: neither outlives a restart.',
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
      gossip: Type.Optional(
        strict(
          {
            keyFile: Type.String({
              minLength: 1,
              description:
                'File of the keys frames are sealed with: 32 bytes in base64, one a line; the first seals, all open. Read again when it changes.',
            }),
            seeds: strict(
              {
                dns: Type.Optional(
                  Type.String({
                    minLength: 1,
                    maxLength: 300,
                    examples: ['reeve-gossip.shop.svc:7946'],
                    description: 'Headless service with its port, or a name of SRV records (`_gossip._udp.…`).',
                  }),
                ),
                file: Type.Optional(
                  Type.String({ minLength: 1, description: 'File of addresses, `host:port`, one a line.' }),
                ),
                list: Type.Optional(
                  Type.Array(Type.String({ maxLength: 300, examples: ['10.0.0.7:7946'] }), {
                    maxItems: 1024,
                    description: 'Addresses of some or all, `host:port`.',
                  }),
                ),
              },
              'Where the others are looked for, at start and again for ever; one of the three.',
            ),
            cluster: Type.Optional(
              Type.String({
                minLength: 1,
                maxLength: 63,
                // The collector keeps rows by the same letters.
                pattern: '^[!-~]+$',
                default: 'reeve',
                description: 'Label of the fleet, ASCII without a space: frames of another are not understood.',
              }),
            ),
            name: Type.Optional(
              Type.String({
                minLength: 1,
                maxLength: 63,
                description:
                  'What this sidecar is called by the others. Unset: the name of the host, which is the pod; with its address where another of the host could be called so.',
              }),
            ),
            host: Type.Optional(Type.String({ default: '0.0.0.0', description: 'Address to listen on.' })),
            port: Type.Optional(port('Port, UDP and TCP; 0 picks a free one.', 7946)),
            advertise: Type.Optional(
              Type.String({
                minLength: 1,
                maxLength: 300,
                description: 'Where the others reach it. Unset: where it listens, or the first address of the host.',
              }),
            ),
            partition: Type.Optional(
              Type.Union([Type.Literal('hold'), Type.Literal('strict'), Type.Literal('open')], {
                title: 'partition policy',
                examples: ['hold'],
                default: 'hold',
                description:
                  'When many cannot be reached at once. hold: their shares stay theirs, for 5 min; strict: limits shrink to the part that is left; open: who is left takes all.',
              }),
            ),
          },
          'One limit for the whole fleet. Unset: each sidecar enforces limits for itself.',
        ),
      ),
      metering: Type.Optional(
        strict(
          {
            dir: Type.Optional(
              Type.String({
                minLength: 1,
                description:
                  'Directory of the spool: records of usage that no collector has yet. One sidecar’s alone. Unset: spool in stateDir.',
              }),
            ),
            collector: Type.Optional(
              strict(
                {
                  address: text(
                    'address of a collector',
                    String.raw`^(\[[0-9a-fA-F:.]+\]|[^/:\s]+):\d{1,5}$`,
                    ['reeve-collector.shop.svc:15010'],
                    'Where it takes what is told.',
                    { maxLength: 300 },
                  ),
                  tls: Type.Optional(
                    strict(
                      {
                        enabled: Type.Optional(
                          flag(
                            'Encrypt, and have the collector prove its name. Without `tls` nothing is encrypted.',
                            true,
                          ),
                        ),
                        caFile: Type.Optional(
                          Type.String({
                            minLength: 1,
                            description: 'Who may vouch for it, PEM. Unset: those of Node.',
                          }),
                        ),
                        certFile: Type.Optional(
                          Type.String({ minLength: 1, description: 'What this sidecar proves its own name by, PEM.' }),
                        ),
                        keyFile: Type.Optional(Type.String({ minLength: 1, description: 'The key of certFile, PEM.' })),
                      },
                      'How the connection is secured. Unset: in plain text. Files are read again by each connection.',
                    ),
                  ),
                  tokenFile: Type.Optional(
                    Type.String({
                      minLength: 1,
                      description: 'File of the token that the collector asks for. Read again by each connection.',
                    }),
                  ),
                },
                'The collector that is told. Unset: records stay in the spool.',
              ),
            ),
            durability: Type.Optional(
              Type.Union([Type.Literal('os'), Type.Literal('interval'), Type.Literal('strict')], {
                title: 'durability',
                examples: ['interval'],
                default: 'interval',
                description:
                  'When a record outlives the machine. It outlives the process before its answer is whole, always. os: when the kernel writes it; interval: within 100 ms; strict: before the answer is whole.',
              }),
            ),
            granularity: Type.Optional(
              Type.Union([Type.Literal('raw'), Type.Literal('window')], {
                title: 'granularity',
                examples: ['raw'],
                default: 'raw',
                description: 'raw: each record is told; window: exact sums of each second.',
              }),
            ),
            maxBytes: Type.Optional(
              size('Of the spool, 1MiB to 1TiB. From 70 % on single records are folded to sums.', { default: '1GiB' }),
            ),
            onFull: Type.Optional(
              Type.Union([Type.Literal('failOpen'), Type.Literal('failClosed')], {
                title: 'policy of a full spool',
                examples: ['failOpen'],
                default: 'failOpen',
                description:
                  'When nothing more can be recorded. failOpen: requests are served, and their number becomes a gap; failClosed: all but critical routes are refused.',
              }),
            ),
            streamEvery: Type.Optional(
              duration(
                'What is not over by then, such as a stream, is recorded in part, and again so often. 1s to 1d.',
                {
                  default: '60s',
                },
              ),
            ),
            traceIds: Type.Optional(flag('Keep the trace id in each record: 16 bytes more.', false)),
          },
          'Every request is recorded, and told to a collector. Unset: what tenants use is not recorded.',
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
      admission: Type.Optional(
        strict(
          {
            enabled: Type.Optional(
              flag('Bound how many requests an upstream has unanswered, and share its turns out fairly.', true),
            ),
            min: Type.Optional(
              Type.Integer({
                minimum: 1,
                maximum: 65_535,
                description:
                  'Requests at once that are always allowed: the limit is learned between this and max. Unset: it is fixed, at max.',
              }),
            ),
            max: Type.Optional(
              Type.Integer({
                minimum: 1,
                maximum: 65_535,
                default: 1000,
                description: 'And the most, where the limit begins; never more than wire.upstreamConnectionsMax.',
              }),
            ),
            tolerance: Type.Optional(
              Type.Number({
                minimum: 1,
                maximum: 10,
                default: 1.5,
                description: 'How many times as long as usual answers may take before the limit falls.',
              }),
            ),
            wait: Type.Optional(duration('The longest wait for a turn, 1ms to 1h.', { default: '5s' })),
          },
          'How many requests each upstream has unanswered at once, fixed or learned from how long it takes (Gradient2), and who waits.',
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
      admin: Type.Optional(loopbackListener(15000, 'The read-only admin API.')),
      application: Type.Optional(loopbackListener(15050, 'Where the application reports usage: POST /v1/usage.')),
      drain: Type.Optional(
        strict(
          {
            delay: Type.Optional(
              duration(
                'How long from SIGTERM on new connections are taken, for those who have not heard yet that it is not ready; a part of the grace.',
                { default: '0s' },
              ),
            ),
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
                description:
                  'Which requests are written. errors: those that failed, and those that were refused. sampled: of the others a share as well.',
              }),
            ),
            sample: Type.Optional(
              percent(
                'Share of requests written by `access: sampled`, and of what we refuse beyond the first ten a second of a tenant and code. Failures always are.',
                { default: '1%' },
              ),
            ),
          },
          'What is written to standard output.',
        ),
      ),
    },
    'How the sidecar runs. Read once, at start.',
  ),
  'The boot file. Every key of spec is also a flag (--inbound-port) and a variable (REEVE_INBOUND_PORT). Paths are relative to the file, those of flags and variables to the working directory.',
);
