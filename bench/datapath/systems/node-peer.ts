/** What people run on Node today, with the same tenant work in plain JavaScript: see bench/peers/tenant-work.ts. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Launch, Place, System } from '../system.ts';
import { linesOf } from '../tenants.ts';
import { AUDIENCE, ISSUER } from '../tokens.ts';

const root: string = join(import.meta.dirname, '../../..');

export const httpProxy: System = nodePeer('http-proxy', 'http-proxy');
export const undici: System = nodePeer('undici', 'undici');

function nodePeer(name: string, dependency: string): System {
  return {
    name,
    levels: ['W0', 'W1', 'W2', 'W3', 'W4', 'W5'],
    note: 'Remembers verified tokens, limits from typed arrays, writes its records 64 KiB at a time.',
    isNode: true,
    records: 'access.log',
    metricsPath: '/metrics',
    missing: () => undefined,
    version: () => `${packageVersion(dependency)} on Node ${process.version}`,
    prepare: (place) => prepare(name, place),
  };
}

function packageVersion(dependency: string): string {
  const text = readFileSync(join(root, 'node_modules', dependency, 'package.json'), 'utf8');
  return (JSON.parse(text) as { version: string }).version;
}

function prepare(name: string, place: Place): Launch {
  const { dir, job, port, statusPort, upstreamPort, tokens, tenants } = place;
  const limits = linesOf(tenants, (tenant, tier) => `${tenant} ${tier.name} ${tier.perSec}`);
  const work = {
    level: job.level,
    algorithm: job.algorithm,
    issuer: ISSUER,
    audience: AUDIENCE,
    secret: tokens.secret,
    publicPem: tokens.publicPem,
    recordFile: join(dir, 'access.log'),
    limits: limits.trimEnd().split('\n'),
  };
  writeFileSync(join(dir, 'peer.json'), JSON.stringify({ port, statusPort, upstreamPort, work }));
  return {
    command: [process.execPath, ...place.nodeFlags, join(root, 'bench/peers', `${name}.ts`), join(dir, 'peer.json')],
  };
}
