/** The systems of the comparison. One line each; the first row called `reeve` is the subject of the figures, else the first. */
import type { System } from '../system.ts';
import { envoy } from './envoy.ts';
import { haproxy } from './haproxy.ts';
import { nginx } from './nginx.ts';
import { httpProxy, undici } from './node-peer.ts';
import { reeve } from './reeve.ts';

/** Of the requests that came to it, those that the fast engine served. */
function fastShare(metricsText: string): number {
  const count = (engine: string): number =>
    Number(new RegExp(`^reeve_requests_engine_total\\{engine="${engine}"\\} (\\d+)$`, 'm').exec(metricsText)?.[1] ?? 0);
  const fast = count('fast');
  return fast / Math.max(1, fast + count('general'));
}

export const systems: readonly System[] = [
  reeve({ name: 'reeve', fastShare }),
  reeve({ name: 'reeve-general', flags: ['--wire-fast-path=false'] }),
  httpProxy,
  undici,
  nginx,
  haproxy,
  envoy,
];

export const subject: System = systems.find(({ name }) => name === 'reeve') ?? (systems[0] as System);
