/** The systems of the comparison. One line each; the first row called `reeve` is the subject of the figures, else `reeve-general`. */
import type { System } from '../system.ts';
import { envoy } from './envoy.ts';
import { haproxy } from './haproxy.ts';
import { nginx } from './nginx.ts';
import { httpProxy, undici } from './node-peer.ts';
import { reeve } from './reeve.ts';

export const systems: readonly System[] = [reeve({ name: 'reeve-general' }), httpProxy, undici, nginx, haproxy, envoy];

export const subject: System = systems.find(({ name }) => name === 'reeve') ?? (systems[0] as System);
