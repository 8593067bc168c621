// hot path
/**
 * What the others are told of the limits here. They reckon on with the rate of the last row; a new one is due when that leads them astray.
 */
import { type Columns, ROW, SHARE } from './columns.ts';
import { smoothSec } from './demand.ts';
import { rateScale } from './log-byte.ts';
import { RowLog } from './row-log.ts';
import { UNKNOWN } from './row-table.ts';

/**
 * A row is written when the others are wrong in what was admitted by this part of the limit a second, or in what is asked for by this part
 * of the limit and of an equal share, or in the rate at which shares let it be admitted; and after this long in any case while something is asked for.
 */
const HOT = { admitted: 0.002, demand: 0, share: 0.1, rowMsMax: 1000 };
/** The same of a limit of which little is used. Thousands of tenants are far from their limits: what is said of them must cost little. */
const COLD = { admitted: 0.02, demand: 0.02, share: 0.5, rowMsMax: 10_000 };
/** Of what was told is asked for: a change that is chance more often than not. */
const NOISE = 0.15;
/** Demand that grew by more than an equal share, and by so many times what chance makes of it, is told at once. */
const URGENT = 3;

export class OwnRows {
  readonly log: RowLog;

  /** `nameOf`: the name of a number in use. */
  constructor(nameOf: (number: number) => string) {
    this.log = new RowLog(nameOf);
  }

  /** Units a second that the others were told are asked for here; undefined: nothing was said. */
  toldDemand(number: number): number | undefined {
    return this.log.has(number) ? this.log.demand(number) : undefined;
  }

  /** Writes a row when one is due; whether it should reach the others at once. `perSec`: the limit of all members that count. */
  tell(number: number, name: string, columns: Columns, world: OwnWorld): boolean {
    const { log } = this;
    const { now, perSec, members, isHot } = world;
    const errors = isHot ? HOT : COLD;
    const demand = columns.demand[number] as number;
    const admitted = columns.admitted[number] as number;
    const rate = rateAhead(columns, number);
    const hasRow = log.has(number);
    const sinceMs = hasRow ? now - log.at(number) : 0;
    const toldRate = hasRow ? log.rate(number) : 0;
    const believed = hasRow ? log.admitted(number) + (toldRate * sinceMs) / 1000 : 0;
    const isWrong = Math.abs(admitted - believed) > Math.max(1, errors.admitted * perSec);
    const told = this.toldDemand(number) ?? 0;
    const least = Math.max(errors.demand * perSec, (errors.share * perSec) / members);
    const isAskedOtherwise = Math.abs(demand - told) > Math.max(least, NOISE * told);
    const isLetOtherwise = isHeld(columns, number) && Math.abs(rate - toldRate) > Math.max(least, NOISE * toldRate);
    const isOld = sinceMs >= errors.rowMsMax && (demand > rateScale.decode(1) || log.rate(number) > 0);
    if (!isWrong && !isAskedOtherwise && !isLetOtherwise && !isOld) return false;
    if (log.limit(number) === UNKNOWN) log.putName({ number, version: log.version + 1, name }, number);
    const version = log.version + 1;
    log.put({ number, version, admitted, demand: rateScale.encode(demand), rate: rateScale.encode(rate), at: now });
    // Requests that come at random: smoothed over τ, so many a second are off by √(demand ÷ 2τ).
    const unit = columns.unit[number] as number;
    const chance = Math.sqrt((told * unit) / (2 * smoothSec(perSec, unit)));
    return demand - told > perSec / members + URGENT * chance;
  }

  /** The number means nothing any more. */
  free(number: number): void {
    const { log } = this;
    if (log.limit(number) !== UNKNOWN) log.putName({ number, version: log.version + 1, name: '' });
  }
}

/**
 * Units a second that will be admitted here. Where more is asked for than may be taken, it is the share that decides: when that changes, so does
 * what is admitted, at once, and the others hear of it as soon as they would have seen it.
 */
function rateAhead(columns: Columns, number: number): number {
  const rate = columns.rate[number] as number;
  return isHeld(columns, number)
    ? (rate * (columns.requested[number * ROW + SHARE] as number)) / (columns.shareThen[number] as number)
    : rate;
}

/** Whether more is asked for than may be taken. A share of less than a unit a second decides nothing: the bucket does. */
function isHeld(columns: Columns, number: number): boolean {
  const share = columns.requested[number * ROW + SHARE] as number;
  return (columns.demand[number] as number) > share && share > (columns.unit[number] as number);
}

export interface OwnWorld {
  readonly now: number;
  readonly perSec: number;
  readonly members: number;
  readonly isHot: boolean;
}
