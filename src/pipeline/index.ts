export type { Chain, OnStageThrow, Pipeline } from './chain.ts';
export { chain } from './chain.ts';
export type { Commits, Held } from './commits.ts';
export type {
  Admitted,
  Arrival,
  Copy,
  Decision,
  Endpoint,
  Grant,
  Identified,
  IdentitySource,
  Routed,
  Sanitised,
  TrustClass,
  UsedUnits,
} from './exchange.ts';
export { Exchange } from './exchange.ts';
export type { Filter, ResponseHead, Verdict } from './filter.ts';
export type { Outcome, Side } from './outcome.ts';
export { aborted, forwarded, kept, replied } from './outcome.ts';
export type { KeptAnswer, Reply, ReplyCode } from './reply.ts';
