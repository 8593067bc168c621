/** The systems of the comparison. One line each; `reeve` is the subject of the figures. */
import type { System } from '../system.ts';
import { envoy } from './envoy.ts';
import { haproxy } from './haproxy.ts';
import { nginx } from './nginx.ts';
import { httpProxy, undici } from './node-peer.ts';
import { reeve } from './reeve.ts';

export const systems: readonly System[] = [
  reeve({ name: 'reeve', flags: ['--wire-fast-path=true'], fastShare }),
  reeve({ name: 'reeve-general', flags: ['--wire-fast-path=false'] }),
  httpProxy,
  undici,
  nginx,
  haproxy,
  envoy,
];

/** The share of requests that the fast engine served. */
function fastShare(metrics: string): number {
  const of = (engine: string): number =>
    Number(new RegExp(`^reeve_requests_engine_total\\{engine="${engine}"\\} (\\d+)$`, 'm').exec(metrics)?.[1] ?? 0);
  return of('fast') / Math.max(of('fast') + of('general'), 1);
}

export const subject: System = systems[0] as System;
