export type { Stages } from './chain.ts';
export { buildChain } from './chain.ts';
export type { ObserverOptions } from './observe.ts';
export { createObserver } from './observe.ts';
export type { Proxy, ProxyOptions } from './proxy.ts';
export { openProxy } from './proxy.ts';
export { rescues } from './rescue.ts';
export type { Upstreams } from './upstreams.ts';
export { openUpstreams } from './upstreams.ts';
