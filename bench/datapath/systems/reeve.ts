/** Reeve itself, from this checkout or from another one. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { isAtLeast, type Job } from '../job.ts';
import type { Launch, Place, System } from '../system.ts';
import { linesOf, tiers } from '../tenants.ts';
import { AUDIENCE, ISSUER } from '../tokens.ts';

export interface ReeveOptions {
  readonly name: string;
  /** The checkout; default: this one. */
  readonly root?: string;
  /** Flags of `reeve sidecar` that this row is about. */
  readonly flags?: readonly string[];
  readonly fastShare?: (metricsText: string) => number;
}

const here: string = join(import.meta.dirname, '../../..');

export function reeve({ name, root = here, flags = [], fastShare }: ReeveOptions): System {
  return {
    name,
    levels: ['W1', 'W2', 'W3', 'W4', 'W5'],
    note: 'Never passes an unidentified request: no W0. W5 is W4: its metrics by tenant are always on, and show the fifty busiest and the rest together, where others count each tenant. One write an access record.',
    isNode: true,
    records: 'output.log',
    metricsPath: '/metrics',
    missing: () => undefined,
    version: () => process.version,
    prepare: (place) => prepare(root, flags, place),
    ...(fastShare === undefined ? {} : { fastShare }),
  };
}

function prepare(root: string, flags: readonly string[], place: Place): Launch {
  const tenancy = join(place.dir, 'tenancy');
  mkdirSync(tenancy);
  writeFileSync(join(tenancy, 'keys.json'), place.tokens.jwks);
  writeFileSync(join(tenancy, 'plans.yaml'), plans(place.job));
  writeFileSync(join(tenancy, 'provider.yaml'), provider(place.job));
  writeFileSync(
    join(tenancy, 'tenants.yaml'),
    linesOf(place.tenants, (tenant, tier) => document('Tenant', tenant, { plan: tier.name })),
  );
  return {
    command: [
      process.execPath,
      ...place.nodeFlags,
      join(root, 'src/cli/reeve.mjs'),
      'sidecar',
      ...flagsFor(place),
      ...flags,
    ],
    cwd: root,
  };
}

function flagsFor({ dir, job, port, statusPort, upstreamPort }: Place): string[] {
  const settings: Record<string, string | number> = {
    upstream: `http://127.0.0.1:${upstreamPort}`,
    'tenancy-dir': join(dir, 'tenancy'),
    'inbound-host': '127.0.0.1',
    'inbound-port': port,
    'status-host': '127.0.0.1',
    'status-port': statusPort,
    'admin-port': 0,
    'application-port': 0,
    'identity-sources': isAtLeast(job.level, 'W2') ? 'jwt' : 'header',
    'inbound-trust': isAtLeast(job.level, 'W2') ? 'credentials' : 'network',
    'log-access': isAtLeast(job.level, 'W4') ? 'all' : 'off',
  };
  return Object.entries(settings).map(([key, value]) => `--${key}=${value}`);
}

const document = (kind: string, name: string, spec: object): string =>
  `${JSON.stringify({ apiVersion: 'reeve.dev/v1', kind, metadata: { name }, spec })}\n---`;

function plans({ level }: Job): string {
  return tiers
    .map(({ name, perSec }) =>
      document(
        'Plan',
        name,
        isAtLeast(level, 'W3')
          ? { rate: { requests: { limit: `${perSec}/s`, burst: perSec } }, degrade: ['reject'] }
          : {},
      ),
    )
    .join('\n');
}

function provider({ algorithm }: Job): string {
  return document('IdentityProvider', 'bench', {
    type: 'jwt',
    issuer: ISSUER,
    audiences: [AUDIENCE],
    algorithms: [algorithm],
    jwks: { file: 'keys.json' },
    tenantClaim: 'tid',
  });
}
