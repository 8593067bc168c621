/**
 * The one list of stages, in the order a request meets them. Every inbound request that passed the strict gate walks it,
 * upgrades and OPTIONS included; nothing answers before it. The types prove the order: see pipeline/chain.ts.
 */
import type { Identity } from '../identity/index.ts';
import type { Admission, Limits } from '../limits/index.ts';
import {
  chain,
  type Exchange,
  type Filter,
  type Identified,
  type OnStageThrow,
  type Pipeline,
} from '../pipeline/index.ts';
import { readiness } from './readiness.ts';
import { routing } from './routing.ts';

export interface Stages {
  readonly observe: Filter<Exchange>;
  readonly identity: Identity;
  /** Undefined: what is used is not recorded. */
  readonly metering?: Filter<Identified> | undefined;
  readonly limits: Limits;
  readonly admission: Admission;
  /** The upstreams the sidecar knows, name to address. */
  readonly upstreams: ReadonlyMap<string, string>;
  readonly onStageThrow: OnStageThrow;
}

export function buildChain(stages: Stages): Pipeline {
  const identified = chain(stages.onStageThrow)
    // Outermost, so that whatever becomes of a request is counted and logged, refusals included.
    .use(stages.observe)
    // A credential that nobody can judge yet is not a bad one.
    .use(readiness)
    // Before anything that could look at a header: what clients forge must be gone first.
    .use(stages.identity.sanitise)
    // Limits are per verified tenant; who is not verified must not spend a tenant's allowance.
    .use(stages.identity.identify);
  // Whoever is verified is accounted for, also who is refused from here on; its end runs behind that of limits, and knows what they did.
  const metered = stages.metering === undefined ? identified : identified.use(stages.metering);
  return (
    metered
      // Before an upstream is chosen: a degraded request goes elsewhere, a refused one nowhere.
      .use(stages.limits.filter)
      .use(routing(stages.upstreams))
      // Last: each upstream has a line of its own, and nothing is between its turn and the way up.
      .use(stages.admission.filter)
      .compile()
  );
}
