/**
 * The rooms of the house: one idea a folder under src/. A room may import only the rooms its row names,
 * all of lower rank; siblings of a rank never import one another. `packages` are the npm packages a room owns.
 * This table is at once the rule (`npm run check`) and the picture (ARCHITECTURE.md).
 *
 * @typedef {{ rank: number, holds: string, imports: string[], packages: string[] }} Room
 * @type {Record<string, Room>}
 */
export const rooms = {
  core: { rank: 0, holds: 'clock, timers, random, units, ids, errors, closer, bounded map', imports: [], packages: [] },
  telemetry: { rank: 1, holds: 'metrics registry, log, trace context', imports: ['core'], packages: ['prom-client'] },
  wire: {
    rank: 2,
    holds: 'HTTP heads and framing rules on strings and bytes: header list, strict gate, hop-by-hop',
    imports: ['core'],
    packages: [],
  },
  wal: {
    rank: 2,
    holds: 'a durable log of records in segments: append, sync, recover, inspect',
    imports: ['core'],
    packages: [],
  },
  tenants: {
    rank: 3,
    holds: 'model, snapshot, YAML loading, watching, last known good',
    imports: ['core', 'telemetry'],
    packages: ['chokidar', 'typebox'],
  },
  gossip: {
    rank: 3,
    holds: 'membership of a fleet without a leader, and opaque rows carried for a delegate',
    imports: ['core', 'telemetry'],
    packages: [],
  },
  pipeline: {
    rank: 4,
    holds: 'Exchange, Filter, Chain, the loop: no sockets, no policy',
    imports: ['core', 'wire', 'tenants'],
    packages: [],
  },
  identity: {
    rank: 5,
    holds: 'who the tenant is: sanitising, sources, cross-check, injection',
    imports: ['core', 'telemetry', 'wire', 'tenants', 'pipeline'],
    packages: [],
  },
  limits: {
    rank: 5,
    holds:
      'rates of the whole fleet, quotas, concurrency, credits, the ladder from notice to refusal; admission to an upstream in fair turns',
    imports: ['core', 'telemetry', 'wire', 'tenants', 'gossip', 'pipeline'],
    packages: [],
  },
  metering: {
    rank: 5,
    holds: 'what each request used: records, the spool that keeps them, who tells a collector',
    imports: ['core', 'telemetry', 'tenants', 'pipeline', 'wal'],
    packages: ['@bufbuild/protobuf'],
  },
  collector: {
    rank: 6,
    holds: 'the central meter: streams of sidecars, ledger, sums, questions',
    imports: ['core', 'telemetry', 'wal', 'metering'],
    packages: ['@duckdb/node-api'],
  },
  proxy: {
    rank: 6,
    holds: 'listeners, the one list of stages, the engine that moves bytes, rescue',
    imports: ['core', 'telemetry', 'wire', 'tenants', 'pipeline', 'identity', 'limits'],
    packages: [],
  },
  admin: {
    rank: 8,
    holds: 'status listener and read-only admin API',
    imports: ['core', 'telemetry', 'wire', 'tenants', 'gossip', 'pipeline', 'identity', 'limits', 'proxy'],
    packages: [],
  },
  cli: {
    rank: 9,
    holds: 'argv, environment, signals, exit codes; the only place that wires rooms together',
    imports: [
      'core',
      'telemetry',
      'wire',
      'wal',
      'tenants',
      'gossip',
      'pipeline',
      'identity',
      'limits',
      'metering',
      'collector',
      'proxy',
      'admin',
    ],
    packages: ['commander', 'koffi'],
  },
};

/**
 * Packages with more than one owner. undici: the upstream client of `proxy`, the key fetches of `identity`, the demo's traffic of `cli`. yaml: the
 * documents of `tenants`, the collector's few settings in `cli`. @grpc/grpc-js: both ends of the metering stream.
 */
export const sharedPackages = {
  undici: ['proxy', 'identity', 'cli'],
  yaml: ['tenants', 'cli'],
  '@grpc/grpc-js': ['metering', 'collector'],
};
