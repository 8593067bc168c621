import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Launch, Place, System } from '../system.ts';
import { renderPeer } from '../template.ts';
import { linesOf } from '../tenants.ts';
import { ISSUER } from '../tokens.ts';
import { findProgram, INSTALL, versionOf } from './program.ts';

export const haproxy: System = {
  name: 'haproxy',
  levels: ['W0', 'W1', 'W2', 'W3', 'W4', 'W5'],
  note: 'Each token is verified each time; the algorithm is fixed. The limit is a rate over a second without a burst, and counts refused requests too. Records go through a ring to a sink on the other core. W5: counters in the stick table.',
  isNode: false,
  records: 'sink',
  metricsPath: '/metrics',
  missing: () => (findProgram('haproxy') === undefined ? `haproxy: ${INSTALL}` : undefined),
  version: () => versionOf(findProgram('haproxy') as string, '-v'),
  prepare,
};

function prepare({ dir, job, port, statusPort, upstreamPort, sink, tokens, tenants }: Place): Launch {
  const values = {
    DIR: dir,
    PORT: port,
    STATUS: statusPort,
    APP: upstreamPort,
    SINK: sink.port,
    ISSUER,
    SECRET: tokens.secret,
  };
  writeFileSync(join(dir, 'haproxy.cfg'), renderPeer('haproxy.cfg', job, values));
  writeFileSync(join(dir, 'public.pem'), tokens.publicPem);
  writeFileSync(
    join(dir, 'limits.map'),
    linesOf(tenants, (tenant, tier) => `${tenant} ${tier.perSec}`),
  );
  const command = [findProgram('haproxy') as string, '-db', '-f', join(dir, 'haproxy.cfg')];
  return { command, validate: [...command, '-c'] };
}
