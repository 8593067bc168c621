// Generated from src/tenants/schema.ts by `npm run generate`. Do not edit.
/** `list`: comma-separated. `map`: `name=value,name=value`. */
export type SettingType = 'text' | 'number' | 'flag' | 'list' | 'map';

export interface Setting {
  /** Under `spec`: `inbound.port`. */
  readonly path: string;
  readonly flag: string;
  readonly env: string;
  readonly type: SettingType;
  readonly description: string;
  readonly default?: unknown;
}

/** Changes with the schema: what another schema accepted is not taken as accepted by this one. */
export const schemaId = '2ef597e9d2669832';

export const sidecarSettings: readonly Setting[] = [
  {
    "path": "upstream",
    "flag": "--upstream",
    "env": "REEVE_UPSTREAM",
    "type": "text",
    "description": "The application."
  },
  {
    "path": "upstreams",
    "flag": "--upstreams",
    "env": "REEVE_UPSTREAMS",
    "type": "map",
    "description": "Other upstreams, by the name routes use."
  },
  {
    "path": "tenancy.dir",
    "flag": "--tenancy-dir",
    "env": "REEVE_TENANCY_DIR",
    "type": "text",
    "description": "Directory of tenancy documents. Hot."
  },
  {
    "path": "tenancy.allowShrink",
    "flag": "--tenancy-allow-shrink",
    "env": "REEVE_TENANCY_ALLOW_SHRINK",
    "type": "flag",
    "description": "Allow one change to remove more than 20 % of the tenants.",
    "default": false
  },
  {
    "path": "tenancy.removeGrace",
    "flag": "--tenancy-remove-grace",
    "env": "REEVE_TENANCY_REMOVE_GRACE",
    "type": "text",
    "description": "How long the objects of a file that vanished live on, at most 1d.",
    "default": "2s"
  },
  {
    "path": "stateDir",
    "flag": "--state-dir",
    "env": "REEVE_STATE_DIR",
    "type": "text",
    "description": "Directory for the last known good configuration and for what quotas counted. One sidecar’s alone. Unset: neither outlives a restart."
  },
  {
    "path": "inbound.host",
    "flag": "--inbound-host",
    "env": "REEVE_INBOUND_HOST",
    "type": "text",
    "description": "Address to listen on.",
    "default": "0.0.0.0"
  },
  {
    "path": "inbound.port",
    "flag": "--inbound-port",
    "env": "REEVE_INBOUND_PORT",
    "type": "number",
    "description": "Port to listen on; 0 picks a free one.",
    "default": 15006
  },
  {
    "path": "inbound.class",
    "flag": "--inbound-class",
    "env": "REEVE_INBOUND_CLASS",
    "type": "text",
    "description": "edge: clients, untrusted. mesh: other sidecars; their trace context is kept.",
    "default": "edge"
  },
  {
    "path": "inbound.trust",
    "flag": "--inbound-trust",
    "env": "REEVE_INBOUND_TRUST",
    "type": "text",
    "description": "network: host, path and header sources prove the tenant. Only behind a proxy that sets them.",
    "default": "credentials"
  },
  {
    "path": "inbound.strict",
    "flag": "--inbound-strict",
    "env": "REEVE_INBOUND_STRICT",
    "type": "flag",
    "description": "Refuse requests that carry protected names with 400 instead of removing them.",
    "default": false
  },
  {
    "path": "inbound.trustedProxies",
    "flag": "--inbound-trusted-proxies",
    "env": "REEVE_INBOUND_TRUSTED_PROXIES",
    "type": "list",
    "description": "Peers (CIDR) whose x-forwarded-* headers are kept and extended."
  },
  {
    "path": "identity.sources",
    "flag": "--identity-sources",
    "env": "REEVE_IDENTITY_SOURCES",
    "type": "list",
    "description": "Where the tenant is looked for. All that yield one must agree.",
    "default": [
      "jwt",
      "apiKey",
      "host"
    ]
  },
  {
    "path": "identity.header",
    "flag": "--identity-header",
    "env": "REEVE_IDENTITY_HEADER",
    "type": "text",
    "description": "Header of the `header` source; not one of the protected names.",
    "default": "x-org"
  },
  {
    "path": "identity.pathPrefix",
    "flag": "--identity-path-prefix",
    "env": "REEVE_IDENTITY_PATH_PREFIX",
    "type": "text",
    "description": "The segment after it is the tenant, for the `path` source.",
    "default": "/t/"
  },
  {
    "path": "identity.apiKeyHeader",
    "flag": "--identity-api-key-header",
    "env": "REEVE_IDENTITY_API_KEY_HEADER",
    "type": "text",
    "description": "Header that carries an API key; `authorization: Bearer rk_…` works too.",
    "default": "x-api-key"
  },
  {
    "path": "identity.pepperFile",
    "flag": "--identity-pepper-file",
    "env": "REEVE_IDENTITY_PEPPER_FILE",
    "type": "text",
    "description": "File with the secret under which API keys are hashed. Required by the apiKey source when a tenant has keys."
  },
  {
    "path": "identity.injectCredentials",
    "flag": "--identity-inject-credentials",
    "env": "REEVE_IDENTITY_INJECT_CREDENTIALS",
    "type": "flag",
    "description": "Leave the credential on the request to the application.",
    "default": true
  },
  {
    "path": "anonymous.limit",
    "flag": "--anonymous-limit",
    "env": "REEVE_ANONYMOUS_LIMIT",
    "type": "text",
    "description": "Unidentified requests per peer prefix (/24, /64); beyond it 429 instead of 401.",
    "default": "100/s"
  },
  {
    "path": "anonymous.burst",
    "flag": "--anonymous-burst",
    "env": "REEVE_ANONYMOUS_BURST",
    "type": "number",
    "description": "At once.",
    "default": 200
  },
  {
    "path": "gossip.keyFile",
    "flag": "--gossip-key-file",
    "env": "REEVE_GOSSIP_KEY_FILE",
    "type": "text",
    "description": "File of the keys frames are sealed with: 32 bytes in base64, one a line; the first seals, all open. Read again when it changes."
  },
  {
    "path": "gossip.seeds.dns",
    "flag": "--gossip-seeds-dns",
    "env": "REEVE_GOSSIP_SEEDS_DNS",
    "type": "text",
    "description": "Headless service with its port, or a name of SRV records (`_gossip._udp.…`)."
  },
  {
    "path": "gossip.seeds.file",
    "flag": "--gossip-seeds-file",
    "env": "REEVE_GOSSIP_SEEDS_FILE",
    "type": "text",
    "description": "File of addresses, `host:port`, one a line."
  },
  {
    "path": "gossip.seeds.list",
    "flag": "--gossip-seeds-list",
    "env": "REEVE_GOSSIP_SEEDS_LIST",
    "type": "list",
    "description": "Addresses of some or all, `host:port`."
  },
  {
    "path": "gossip.cluster",
    "flag": "--gossip-cluster",
    "env": "REEVE_GOSSIP_CLUSTER",
    "type": "text",
    "description": "Label of the fleet, ASCII without a space: frames of another are not understood.",
    "default": "reeve"
  },
  {
    "path": "gossip.name",
    "flag": "--gossip-name",
    "env": "REEVE_GOSSIP_NAME",
    "type": "text",
    "description": "What this sidecar is called by the others. Unset: the name of the host, which is the pod; with its address where another of the host could be called so."
  },
  {
    "path": "gossip.host",
    "flag": "--gossip-host",
    "env": "REEVE_GOSSIP_HOST",
    "type": "text",
    "description": "Address to listen on.",
    "default": "0.0.0.0"
  },
  {
    "path": "gossip.port",
    "flag": "--gossip-port",
    "env": "REEVE_GOSSIP_PORT",
    "type": "number",
    "description": "Port, UDP and TCP; 0 picks a free one.",
    "default": 7946
  },
  {
    "path": "gossip.advertise",
    "flag": "--gossip-advertise",
    "env": "REEVE_GOSSIP_ADVERTISE",
    "type": "text",
    "description": "Where the others reach it. Unset: where it listens, or the first address of the host."
  },
  {
    "path": "gossip.partition",
    "flag": "--gossip-partition",
    "env": "REEVE_GOSSIP_PARTITION",
    "type": "text",
    "description": "When many cannot be reached at once. hold: their shares stay theirs, for 5 min; strict: limits shrink to the part that is left; open: who is left takes all.",
    "default": "hold"
  },
  {
    "path": "metering.dir",
    "flag": "--metering-dir",
    "env": "REEVE_METERING_DIR",
    "type": "text",
    "description": "Directory of the spool: records of usage that no collector has yet. One sidecar’s alone. Unset: spool in stateDir."
  },
  {
    "path": "metering.collector.address",
    "flag": "--metering-collector-address",
    "env": "REEVE_METERING_COLLECTOR_ADDRESS",
    "type": "text",
    "description": "Where it takes what is told."
  },
  {
    "path": "metering.collector.tls.enabled",
    "flag": "--metering-collector-tls-enabled",
    "env": "REEVE_METERING_COLLECTOR_TLS_ENABLED",
    "type": "flag",
    "description": "Encrypt, and have the collector prove its name. Without `tls` nothing is encrypted.",
    "default": true
  },
  {
    "path": "metering.collector.tls.caFile",
    "flag": "--metering-collector-tls-ca-file",
    "env": "REEVE_METERING_COLLECTOR_TLS_CA_FILE",
    "type": "text",
    "description": "Who may vouch for it, PEM. Unset: those of Node."
  },
  {
    "path": "metering.collector.tls.certFile",
    "flag": "--metering-collector-tls-cert-file",
    "env": "REEVE_METERING_COLLECTOR_TLS_CERT_FILE",
    "type": "text",
    "description": "What this sidecar proves its own name by, PEM."
  },
  {
    "path": "metering.collector.tls.keyFile",
    "flag": "--metering-collector-tls-key-file",
    "env": "REEVE_METERING_COLLECTOR_TLS_KEY_FILE",
    "type": "text",
    "description": "The key of certFile, PEM."
  },
  {
    "path": "metering.collector.tokenFile",
    "flag": "--metering-collector-token-file",
    "env": "REEVE_METERING_COLLECTOR_TOKEN_FILE",
    "type": "text",
    "description": "File of the token that the collector asks for. Read again by each connection."
  },
  {
    "path": "metering.durability",
    "flag": "--metering-durability",
    "env": "REEVE_METERING_DURABILITY",
    "type": "text",
    "description": "When a record outlives the machine. It outlives the process before its answer is whole, always. os: when the kernel writes it; interval: within 100 ms; strict: before the answer is whole.",
    "default": "interval"
  },
  {
    "path": "metering.granularity",
    "flag": "--metering-granularity",
    "env": "REEVE_METERING_GRANULARITY",
    "type": "text",
    "description": "raw: each record is told; window: exact sums of each second.",
    "default": "raw"
  },
  {
    "path": "metering.maxBytes",
    "flag": "--metering-max-bytes",
    "env": "REEVE_METERING_MAX_BYTES",
    "type": "text",
    "description": "Of the spool, 1MiB to 1TiB. From 70 % on single records are folded to sums.",
    "default": "1GiB"
  },
  {
    "path": "metering.onFull",
    "flag": "--metering-on-full",
    "env": "REEVE_METERING_ON_FULL",
    "type": "text",
    "description": "When nothing more can be recorded. failOpen: requests are served, and their number becomes a gap; failClosed: all but critical routes are refused.",
    "default": "failOpen"
  },
  {
    "path": "metering.streamEvery",
    "flag": "--metering-stream-every",
    "env": "REEVE_METERING_STREAM_EVERY",
    "type": "text",
    "description": "What is not over by then, such as a stream, is recorded in part, and again so often. 1s to 1d.",
    "default": "60s"
  },
  {
    "path": "metering.traceIds",
    "flag": "--metering-trace-ids",
    "env": "REEVE_METERING_TRACE_IDS",
    "type": "flag",
    "description": "Keep the trace id in each record: 16 bytes more.",
    "default": false
  },
  {
    "path": "wire.headBytesMax",
    "flag": "--wire-head-bytes-max",
    "env": "REEVE_WIRE_HEAD_BYTES_MAX",
    "type": "text",
    "description": "Request line and headers, 1KiB to 16MiB.",
    "default": "32KiB"
  },
  {
    "path": "wire.headersMax",
    "flag": "--wire-headers-max",
    "env": "REEVE_WIRE_HEADERS_MAX",
    "type": "number",
    "description": "Header fields of a request.",
    "default": 100
  },
  {
    "path": "wire.targetBytesMax",
    "flag": "--wire-target-bytes-max",
    "env": "REEVE_WIRE_TARGET_BYTES_MAX",
    "type": "text",
    "description": "Request target, 1KiB to 16MiB.",
    "default": "8KiB"
  },
  {
    "path": "wire.bodyBytesMax",
    "flag": "--wire-body-bytes-max",
    "env": "REEVE_WIRE_BODY_BYTES_MAX",
    "type": "text",
    "description": "Request body, where the route says nothing.",
    "default": "64MiB"
  },
  {
    "path": "wire.headTimeout",
    "flag": "--wire-head-timeout",
    "env": "REEVE_WIRE_HEAD_TIMEOUT",
    "type": "text",
    "description": "For a whole request head to arrive, 1ms to 1h.",
    "default": "10s"
  },
  {
    "path": "wire.idleTimeout",
    "flag": "--wire-idle-timeout",
    "env": "REEVE_WIRE_IDLE_TIMEOUT",
    "type": "text",
    "description": "Without a byte in either direction, 1ms to 1h.",
    "default": "60s"
  },
  {
    "path": "wire.connectTimeout",
    "flag": "--wire-connect-timeout",
    "env": "REEVE_WIRE_CONNECT_TIMEOUT",
    "type": "text",
    "description": "To connect to an upstream, 1ms to 1h.",
    "default": "2s"
  },
  {
    "path": "wire.responseTimeout",
    "flag": "--wire-response-timeout",
    "env": "REEVE_WIRE_RESPONSE_TIMEOUT",
    "type": "text",
    "description": "For the head of a response, where the route says nothing, 1ms to 1h.",
    "default": "30s"
  },
  {
    "path": "wire.connectionsMax",
    "flag": "--wire-connections-max",
    "env": "REEVE_WIRE_CONNECTIONS_MAX",
    "type": "number",
    "description": "Client connections at once.",
    "default": 20000
  },
  {
    "path": "wire.upstreamConnectionsMax",
    "flag": "--wire-upstream-connections-max",
    "env": "REEVE_WIRE_UPSTREAM_CONNECTIONS_MAX",
    "type": "number",
    "description": "Connections to each upstream.",
    "default": 256
  },
  {
    "path": "wire.via",
    "flag": "--wire-via",
    "env": "REEVE_WIRE_VIA",
    "type": "flag",
    "description": "Add a Via header both ways.",
    "default": false
  },
  {
    "path": "wire.fastPath",
    "flag": "--wire-fast-path",
    "env": "REEVE_WIRE_FAST_PATH",
    "type": "flag",
    "description": "Serve plain requests by the fast engine; false: everything by the general one.",
    "default": true
  },
  {
    "path": "admission.enabled",
    "flag": "--admission-enabled",
    "env": "REEVE_ADMISSION_ENABLED",
    "type": "flag",
    "description": "Bound how many requests an upstream has unanswered, and share its turns out fairly.",
    "default": true
  },
  {
    "path": "admission.min",
    "flag": "--admission-min",
    "env": "REEVE_ADMISSION_MIN",
    "type": "number",
    "description": "Requests at once that are always allowed: the limit is learned between this and max. Unset: it is fixed, at max."
  },
  {
    "path": "admission.max",
    "flag": "--admission-max",
    "env": "REEVE_ADMISSION_MAX",
    "type": "number",
    "description": "And the most, where the limit begins; never more than wire.upstreamConnectionsMax.",
    "default": 1000
  },
  {
    "path": "admission.tolerance",
    "flag": "--admission-tolerance",
    "env": "REEVE_ADMISSION_TOLERANCE",
    "type": "number",
    "description": "How many times as long as usual answers may take before the limit falls.",
    "default": 1.5
  },
  {
    "path": "admission.wait",
    "flag": "--admission-wait",
    "env": "REEVE_ADMISSION_WAIT",
    "type": "text",
    "description": "The longest wait for a turn, 1ms to 1h.",
    "default": "5s"
  },
  {
    "path": "status.host",
    "flag": "--status-host",
    "env": "REEVE_STATUS_HOST",
    "type": "text",
    "description": "Address.",
    "default": "0.0.0.0"
  },
  {
    "path": "status.port",
    "flag": "--status-port",
    "env": "REEVE_STATUS_PORT",
    "type": "number",
    "description": "Port; 0 picks a free one.",
    "default": 15020
  },
  {
    "path": "admin.host",
    "flag": "--admin-host",
    "env": "REEVE_ADMIN_HOST",
    "type": "text",
    "description": "Loopback only.",
    "default": "127.0.0.1"
  },
  {
    "path": "admin.port",
    "flag": "--admin-port",
    "env": "REEVE_ADMIN_PORT",
    "type": "number",
    "description": "Port; 0 picks a free one.",
    "default": 15000
  },
  {
    "path": "application.host",
    "flag": "--application-host",
    "env": "REEVE_APPLICATION_HOST",
    "type": "text",
    "description": "Loopback only.",
    "default": "127.0.0.1"
  },
  {
    "path": "application.port",
    "flag": "--application-port",
    "env": "REEVE_APPLICATION_PORT",
    "type": "number",
    "description": "Port; 0 picks a free one.",
    "default": 15050
  },
  {
    "path": "drain.delay",
    "flag": "--drain-delay",
    "env": "REEVE_DRAIN_DELAY",
    "type": "text",
    "description": "How long from SIGTERM on new connections are taken, for those who have not heard yet that it is not ready; a part of the grace.",
    "default": "0s"
  },
  {
    "path": "drain.grace",
    "flag": "--drain-grace",
    "env": "REEVE_DRAIN_GRACE",
    "type": "text",
    "description": "From SIGTERM to the end of the last request, at most 1h.",
    "default": "25s"
  },
  {
    "path": "log.level",
    "flag": "--log-level",
    "env": "REEVE_LOG_LEVEL",
    "type": "text",
    "description": "Least severe line that is written.",
    "default": "info"
  },
  {
    "path": "log.access",
    "flag": "--log-access",
    "env": "REEVE_LOG_ACCESS",
    "type": "text",
    "description": "Which requests are written. errors: those that failed, and those that were refused. sampled: of the others a share as well.",
    "default": "errors"
  },
  {
    "path": "log.sample",
    "flag": "--log-sample",
    "env": "REEVE_LOG_SAMPLE",
    "type": "text",
    "description": "Share of requests written by `access: sampled`, and of what we refuse beyond the first ten a second of a tenant and code. Failures always are.",
    "default": "1%"
  }
];
