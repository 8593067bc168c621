/**
 * 10,000 tenants in three tiers, and the order in which their requests come: Zipf with exponent 1, as the traffic of business
 * customers is. The limits are never reached under load, so that every system does its whole work for each request.
 */

export const TENANTS = 10_000;

/**
 * The last of them send no load: the checks drive them over their limits, and a system that was stopped right after may believe that
 * no time has passed (HAProxy corrects its clock by any jump of over a second).
 */
export const PROBES = 3;

export interface Tier {
  readonly name: 'ent' | 'pro' | 'free';
  /** Requests a second, and as many at once. */
  readonly perSec: number;
  /** The first rank by traffic that is of this tier. */
  readonly fromRank: number;
}

/** Rank 0 sends 10 % of all requests, rank 100 0.1 %, rank 1,100 0.01 %: at 60,000/s a twentieth to a half of what its tier allows. */
export const tiers: readonly Tier[] = [
  { name: 'ent', perSec: 10_000, fromRank: 0 },
  { name: 'pro', perSec: 1000, fromRank: 100 },
  { name: 'free', perSec: 100, fromRank: 1100 },
];

export const tenantName = (rank: number): string => `t${String(rank).padStart(5, '0')}`;

export const tierOf = (rank: number): Tier => tiers.findLast(({ fromRank }) => rank >= fromRank) as Tier;

export const perSecOf = (name: Tier['name']): number => tiers.find((tier) => tier.name === name)?.perSec as number;

/** One line a tenant. */
export function linesOf(tenants: number, line: (name: string, tier: Tier) => string): string {
  let text = '';
  for (let rank = 0; rank < tenants; rank++) text += `${line(tenantName(rank), tierOf(rank))}\n`;
  return text;
}

/** Ranks in the order of their requests; the same for every run. */
export function drawRanks(draws: number, tenants: number = TENANTS - PROBES): Uint32Array {
  const cumulative = new Float64Array(tenants);
  let sum = 0;
  for (let rank = 0; rank < tenants; rank++) cumulative[rank] = sum += 1 / (rank + 1);
  const random = seeded(1);
  return Uint32Array.from({ length: draws }, () => firstAbove(cumulative, random() * sum));
}

function firstAbove(cumulative: Float64Array, value: number): number {
  let low = 0;
  let high = cumulative.length - 1;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((cumulative[middle] as number) > value) high = middle;
    else low = middle + 1;
  }
  return low;
}

/** mulberry32: small, and good enough to draw with. */
export function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
