/**
 * Who has which share of a limit, and why: for `reeve limits check` and the admin API. Reckoned from the same numbers by the same rules as what
 * is enforced; changes nothing.
 */
import type { Member } from '../../gossip/index.ts';
import type { Rate } from '../gcra.ts';
import { BORROW, BURST, type Columns, PER_SEC, ROW, SHARE, TOLERANCE } from './columns.ts';
import type { Others, PeerExplanation } from './others.ts';
import { UNKNOWN } from './row-table.ts';
import type { ShareRule } from './share.ts';
import { hasPart, partsOf, type Standing, type StrictParts } from './strict.ts';

/** What a sidecar takes of a limit and what it knows the others take; units and seconds. */
export interface FleetExplanation {
  /** Those whose requests count; of a strict limit those that may have a part, whether they can be reached or not. */
  readonly members: number;
  /** What is left in the fleet's bucket; negative in debt. Undefined of a strict limit, which has none. */
  readonly level: number | undefined;
  /** Of a strict limit: into how many parts it is cut, and why one of them is this sidecar's or is not. */
  readonly strict: { readonly parts: number; readonly standing: Standing } | undefined;
  readonly here: {
    readonly share: number;
    readonly burst: number;
    readonly borrow: number;
    readonly demand: number;
    readonly admitted: number;
  };
  readonly demand: number;
  /** Those that asked for anything of it, the most asking first. */
  readonly peers: readonly PeerExplanation[];
}

/** What is looked at. */
export interface Explained {
  readonly columns: Columns;
  readonly others: Others;
  readonly strict: StrictParts;
  readonly rule: ShareRule;
}

/** Of a limit that has a number and a level in the fleet's bucket. */
export function explainShares(of: Explained, number: number, level: number): FleetExplanation {
  const { columns: a, others } = of;
  return {
    members: others.members,
    level,
    strict: undefined,
    here: {
      share: a.requested[number * ROW + SHARE] as number,
      burst: a.requested[number * ROW + TOLERANCE] as number,
      borrow: a.requested[number * ROW + BORROW] as number,
      demand: a.demand[number] as number,
      admitted: a.rate[number] as number,
    },
    demand: demandOf(of, number),
    peers: others.explain(number, (_, isCounted, demand) => (isCounted ? shareOf(of, number, demand) : 0)),
  };
}

/** A tenant's strict limit, as the sidecar of incarnation `self` sees it. */
export interface StrictLimit {
  readonly tenant: string;
  readonly limit: Rate;
  readonly self: string;
}

/** `number`: `UNKNOWN` when nobody asked for it lately. */
export function explainParts(of: Explained, number: number, { tenant, limit, self }: StrictLimit): FleetExplanation {
  const { columns, others, strict } = of;
  const { electorate } = others;
  const { expected, incarnations } = electorate;
  const standing = strict.standing(tenant, limit.burst, self, electorate);
  const { burst } = strict.take(tenant, limit, self, electorate);
  const parts = partsOf(limit.burst, electorate);
  const all = [self, ...incarnations];
  const partOf = ({ incarnation }: Member): number => {
    const rest = all.filter((each) => each !== incarnation);
    const isIts = incarnations.includes(incarnation) && hasPart(tenant, limit.burst, incarnation, electorate, rest);
    return isIts ? limit.perSec / parts : 0;
  };
  const isKnown = number !== UNKNOWN;
  return {
    members: expected,
    level: undefined,
    strict: { parts, standing },
    here: {
      share: standing === 'held' ? limit.perSec / parts : 0,
      burst,
      borrow: 0,
      demand: isKnown ? (columns.demand[number] as number) : 0,
      admitted: isKnown ? (columns.rate[number] as number) : 0,
    },
    demand: isKnown ? demandOf(of, number) : 0,
    peers: isKnown ? others.explain(number, partOf) : [],
  };
}

function demandOf({ columns, others }: Explained, number: number): number {
  return (columns.demand[number] as number) + others.demand(number);
}

/** What another that is asked for so much takes, by the rule and the bucket here; its own is a little another. */
function shareOf(of: Explained, number: number, demand: number): number {
  const { columns: a, others, rule } = of;
  const { part, members } = others;
  const fleet = {
    perSec: (a.requested[number * ROW + PER_SEC] as number) * part,
    burst: Math.max(1, (a.requested[number * ROW + BURST] as number) * part),
    members,
    demandHere: demand,
    demand: demandOf(of, number),
    admitted: 0,
    seconds: 0,
    unit: a.unit[number] as number,
  };
  const share = { perSec: 0, burst: 0, borrow: 0 };
  rule.take(fleet, { level: a.level[number] as number, integral: a.integral[number] as number }, share);
  return share.perSec;
}
