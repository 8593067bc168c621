/** How a sidecar may share a limit: ours, and what others in the field do, with the same gossip and the same knowledge. */
import { type Share, type ShareRule, shareByDemand } from '../src/limits/fleet/share.ts';

/**
 * How a quota is shared. - `rights`: by rights where it is hard, else by the sum (ours). - `estimate`: by the sum that is known here, hard or not. - `even`: each sidecar
 * spends its equal part.
 */
export type QuotaRule = 'rights' | 'estimate' | 'even';

export interface Policy {
  readonly name: string;
  readonly describe: string;
  readonly rule: ShareRule;
  /** Requests are admitted by chance, with the share for its probability. */
  readonly isByChance?: boolean;
  /** Undefined: it says nothing of quotas. */
  readonly quota?: QuotaRule;
}

const NOTHING = 1e-9;

/** What is asked for counts at once. */
function atOnce(take: ShareRule['take']): ShareRule {
  return { knownSec: NOTHING, take };
}

function set(share: Share, perSec: number, burst: number, borrow: number): void {
  share.perSec = perSec;
  share.burst = burst;
  share.borrow = borrow;
}

export const OURS: Policy = {
  name: 'reeve',
  describe: 'share by demand, corrected by what the fleet admitted',
  rule: shareByDemand(),
  quota: 'rights',
};

export const RIVALS: readonly Policy[] = [
  {
    name: 'even',
    quota: 'even',
    describe: "the limit by the members (Envoy's local_cluster_rate_limit)",
    rule: atOnce(({ perSec, burst, members }, _, share) =>
      set(share, perSec / members, Math.max(1, burst / members), 0),
    ),
  },
  {
    name: 'shared-bucket',
    quota: 'estimate',
    describe: 'each spends the whole bucket and hears of the others later (gubernator GLOBAL, limitador, Kong)',
    rule: atOnce(({ perSec, burst, admitted, seconds }, state, share) => {
      state.level = Math.min(burst, state.level + perSec * seconds - admitted);
      set(share, NOTHING, 0, Math.max(0, state.level));
    }),
  },
  {
    name: 'fps',
    describe: 'share by demand, without correction (SIGCOMM 2007, flow proportional share)',
    rule: atOnce(({ perSec, burst, members, demand, demandHere }, _, share) => {
      const part = demand > 0 ? demandHere / demand : 1 / members;
      const fair = demand >= perSec ? perSec * part : demandHere + (perSec - demand) / members;
      set(share, Math.max(NOTHING, fair), Math.max(1, burst * part), 0);
    }),
  },
  {
    name: 'grd',
    describe: 'each admits by chance, limit ÷ demand of all (SIGCOMM 2007, global random drop)',
    isByChance: true,
    rule: atOnce(({ perSec, demand }, _, share) => set(share, Math.min(1, perSec / Math.max(demand, NOTHING)), 0, 0)),
  },
];
