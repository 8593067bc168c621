// hot path
/**
 * What part of a fleet's limit this sidecar takes, told from what it knows of the others.
 *
 *   demand D of the fleet ─▶ share = own part of it            everybody's requests have the same chance
 *   admitted A of the fleet ─▶ level of the fleet's bucket     what was admitted too much is owed, and paid back by all
 *
 * The level is a token bucket of the whole limit, fed with what all sidecars say they admitted; it may go a little into debt. Shares
 * are raised or lowered by it with a low gain: what is heard of others is half a second old, and a high gain would swing. While the
 * fleet asks for less than its limit, a sidecar may borrow from the level, so that a burst at one of them is not refused.
 */

/** What the others are known to do, and what this one does. */
export interface Fleet {
  /** The limit, units a second, and its burst, units. */
  readonly perSec: number;
  readonly burst: number;
  /** Members whose requests count, this one included. */
  readonly members: number;
  /** Units a second asked for: here, and by all together. */
  readonly demandHere: number;
  readonly demand: number;
  /** Units admitted by all together since the last time. */
  readonly admitted: number;
  /** Since the last time, s. */
  readonly seconds: number;
  /** What a request costs, units. */
  readonly unit: number;
}

/** What is kept from time to time. */
export interface ShareState {
  /** Units in the fleet's bucket; negative in debt. */
  level: number;
  integral: number;
}

export interface Share {
  /** Units a second that may be spent here. */
  perSec: number;
  /** Units at once. */
  burst: number;
  /** Units that may be taken from the fleet's bucket beyond the share, until the next time. */
  borrow: number;
}

export interface Gains {
  readonly knownSec: number;
  /** Of the limit a second: how far in debt the bucket goes, so that a merge after a partition is no long punishment. */
  readonly debtMaxSec: number;
  /** Share of the burst at which the level is held. */
  readonly target: number;
  readonly integral: number;
  readonly integralMin: number;
  readonly integralMax: number;
  /** By how much more it may grow where shares are a unit or less. */
  readonly integralSmall: number;
  /** By how much a debt of one second's limit lowers all shares. */
  readonly debt: number;
  readonly debtDeep: number;
  /** By how much a full bucket raises them, when more is asked for than there is, and when less is. */
  readonly surplus: number;
  readonly surplusWithin: number;
  /** Share of the limit below which borrowing is allowed. */
  readonly borrowBelow: number;
}

export const GAINS: Gains = {
  knownSec: 0.33,
  debtMaxSec: 0.15,
  target: 0.5,
  integral: 0.001,
  integralMin: -0.1,
  integralMax: 0.15,
  integralSmall: 0.5,
  debt: 0.6,
  debtDeep: 15,
  surplus: 0.03,
  surplusWithin: 0.5,
  borrowBelow: 0.95,
};

/** A limit is small when the fleet's members, each taking one unit, spend this long of it. */
const SMALL_SEC = 0.5;
/** Of an equal share: the least there is. */
const LEAST = 0.05;
/** Of a small limit: by how much faster. */
const WASTE = 15;
/** What of the integral is left of a turn within the limit. */
const REST = 0.98;
/** Until what is admitted at one is known at all, s. */
const HEARD_SEC = 0.3;

export interface ShareRule {
  /** Own demand counts once the others may have heard of it, s: else all that grow at once would each take the room there is. */
  readonly knownSec: number;
  /** Advances `state` and fills `share`. */
  take(fleet: Fleet, state: ShareState, share: Share): void;
}

export function shareByDemand(gains: Gains = GAINS): ShareRule {
  return { knownSec: gains.knownSec, take: (fleet, state, share) => takeShare(fleet, state, share, gains) };
}

function takeShare(fleet: Fleet, state: ShareState, share: Share, gains: Gains): void {
  const { perSec, burst, members, demandHere, demand, admitted, seconds, unit } = fleet;
  const smallness = Math.min(1, members / (perSec * SMALL_SEC));
  const debtMax = Math.max(gains.debtMaxSec * perSec, smallness * burst);
  const level = Math.max(-debtMax, Math.min(burst, state.level + perSec * seconds - admitted));
  const fill = level / burst;
  const isWithin = demand < gains.borrowBelow * perSec;
  // A bucket that overflows is waste, which is made up for faster than it is told that there is none. A large limit's overflows after each shift, and is soon emptied.
  const gain = gains.integral * (fill >= 1 ? 1 + WASTE * smallness ** 2 : 1);
  // Small shares are used badly: requests come at random, and a bucket of one unit is empty or overflows. Within the limit there is nothing to make up for.
  const integral = isWithin
    ? state.integral * REST
    : Math.max(
        gains.integralMin,
        Math.min(
          gains.integralMax + gains.integralSmall * smallness,
          state.integral + gain * (Math.max(-1, Math.min(1, fill)) - gains.target),
        ),
      );
  state.level = level;
  state.integral = integral;
  const surplus = isWithin ? gains.surplusWithin : gains.surplus;
  const correction =
    level < 0 ? Math.max(-0.8, (level / perSec) * (gains.debt - (gains.debtDeep * level) / perSec)) : surplus * fill;
  const part = demand > 0 ? demandHere / demand : 0;
  const fair = demand >= perSec ? perSec * part : demandHere + (perSec - demand) / members;
  share.burst = Math.max(1, burst * Math.max(part, 1 / members));
  // Who is asked for little must be able to ask for more, and whoever is refused here is not told to come back tomorrow.
  share.perSec = Math.max(
    (LEAST * perSec) / members,
    ((1 + integral + correction) * fair) / (1 - unused(perSec / demand, share.burst / unit)),
  );
  // Where a share is less than a unit, it is the fleet's bucket that admits: as much as is not asked for twice before that is heard of. What the bucket here
  // holds is of the same units.
  const left = Math.max(0, level - Math.max(share.burst, (burst / 2) * (isWithin ? 1 - smallness : 1)));
  const asked = Math.max(0, demand - perSec) * HEARD_SEC;
  const ofSmall = smallness ** 2 * (asked > left ? left / asked : 1);
  const ofAny = isWithin ? Math.min(1, 2 * Math.max(part, 1 / members)) : 0;
  share.borrow = left * Math.max(ofAny, ofSmall);
}

/**
 * The part of a share that goes to waste, because its small bucket is full now and then although more is asked for than there is. Such a bucket is
 * the queue M/D/1/K seen from behind: what was taken is worked off at the rate of the share, and K requests fit. Its time without work is exact here
 * for one and two requests, and falls on by the same ratio for more. `ratio`: the limit by what is asked for.
 */
function unused(ratio: number, requests: number): number {
  if (ratio >= 1) return 0;
  const asked = 1 / ratio;
  const none = Math.exp(-asked);
  const ofOne = 1 / (1 + asked);
  const ofTwo = none / (none + asked);
  return ofOne * (ofTwo / ofOne) ** Math.max(0, requests - 1);
}
