// hot path
/** No configuration, no judgement: until the first snapshot is in force nobody can say whose a credential is, or that it is a bad one. */
import type { Exchange, Filter, Reply } from '../pipeline/index.ts';

const NOT_READY: Reply = {
  code: 'not-ready',
  detail: 'The sidecar has no configuration yet.',
  retryAfterMs: 1000,
};

export const readiness: Filter<Exchange> = {
  name: 'readiness',
  onThrow: 'deny',
  onRequest: (x) => (x.snapshot.generation === 0 ? NOT_READY : undefined),
};
