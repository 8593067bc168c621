import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Launch, Place, System } from '../system.ts';
import { renderPeer } from '../template.ts';
import { linesOf, perSecOf } from '../tenants.ts';
import { ISSUER } from '../tokens.ts';
import { findProgram, INSTALL, versionOf } from './program.ts';

const MODULES = '/usr/lib/nginx/modules';

export const nginx: System = {
  name: 'nginx-njs',
  levels: ['W0', 'W1', 'W2', 'W3', 'W4'],
  note: 'njs keeps nothing between requests: each token is verified each time, with RS256 the key is imported as well. No metrics by tenant: no W5.',
  isNode: false,
  records: 'access.log',
  metricsPath: '/metrics',
  missing() {
    if (findProgram('nginx') === undefined) return `nginx: ${INSTALL}`;
    return existsSync(join(MODULES, 'ngx_http_js_module.so')) ? undefined : `libnginx-mod-http-js: ${INSTALL}`;
  },
  version: () => versionOf(findProgram('nginx') as string, '-v'),
  prepare,
};

function prepare({ dir, job, port, statusPort, upstreamPort, tokens, tenants }: Place): Launch {
  const values = {
    DIR: dir,
    MODULES,
    PORT: port,
    STATUS: statusPort,
    APP: upstreamPort,
    FREE: perSecOf('free'),
    PRO: perSecOf('pro'),
    ENT: perSecOf('ent'),
    ISSUER,
    SECRET: tokens.secret,
    SPKI: tokens.publicPem.replaceAll(/-----[A-Z ]+-----|\n/g, ''),
  };
  writeFileSync(join(dir, 'nginx.conf'), renderPeer('nginx.conf', job, values));
  writeFileSync(join(dir, 'jwt.js'), renderPeer('jwt.njs', job, values));
  writeFileSync(
    join(dir, 'tiers.map'),
    linesOf(tenants, (tenant, tier) => `${tenant} ${tier.name};`),
  );
  const command = [findProgram('nginx') as string, '-p', dir, '-c', join(dir, 'nginx.conf')];
  return { command, validate: [...command, '-t'] };
}
