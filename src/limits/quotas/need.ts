// hot path
/** What a request takes of a quota, whether that is too much, and how it is told so. */
import type { Identified, Reply } from '../../pipeline/index.ts';
import type { Quota } from '../../tenants/index.ts';
import type { Line } from './account.ts';

/** Rights that others have are here by then, and what was spent is kept, ms. Requests in flight may be done by then: nobody knows when they are. */
export const FETCH_MS = 2000;

/** What is looked at of a request. */
export interface Asked extends Pick<Identified, 'tenant' | 'route' | 'method'> {
  readonly headers: Pick<Identified['headers'], 'first'>;
}

export function costOf(x: Asked): number {
  return x.route?.cost ?? 1;
}

/** What takes nothing of a quota is not over it, however much is used. */
const TAKES_NONE = -1;
const WITHOUT_CONTENT: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS', 'DELETE']);

export function isExceeded(line: Line, x: Asked): boolean {
  if (!line.quota.isHard) return false;
  const need = needOf(line, x);
  return need !== TAKES_NONE && (line.isOver(need) || line.isShort(need));
}

/** Whether there is enough of it here, and it is only that more of what was spent must be kept before. */
export function isOnlyAhead(line: Line, x: Asked): boolean {
  return isSpent(line) && !line.isRejecting && isHere(line, needOf(line, x));
}

/** Whether rights to it are spent, in a fleet. */
export function isSpent({ quota }: Line): boolean {
  return quota.isHard && quota.per !== 'none';
}

/**
 * Until the window ends; where others have what is needed, requests in flight have reserved it, or it is here and what was spent is still to be kept,
 * until then.
 */
function waitOf(line: Line, x: Asked, wall: number): number {
  const need = needOf(line, x);
  const isSoon = isHere(line, need) || isUnparted(line, need) || isToBeHad(line, need) || isAwaited(line, need);
  return isSoon && !line.isRejecting ? FETCH_MS : line.endMs - wall;
}

/** Whether there is enough of it, and rights to that here. */
function isHere(line: Line, need: number): boolean {
  return !line.isOver(need) && !line.lacksRights(need);
}

/** Whether it is only what requests in flight have reserved here that stands in its way: they may use less, and give the rest back. */
function isAwaited({ reserved, freed }: Line, need: number): boolean {
  return reserved > 0 && freed > 0 && freed >= need;
}

/** Whether it is only that nobody has a part of it yet. */
function isUnparted({ isParted, unused }: Line, need: number): boolean {
  return !isParted && unused >= Math.max(1, need);
}

/** Whether what is here and what others could give are enough. */
function isToBeHad({ left }: Line, need: number): boolean {
  return left >= Math.max(1, need);
}

/** Units of a hard quota that the request takes, as far as can be known before it is served. A level takes what nobody has reported yet. */
export function needOf(line: Line, x: Asked): number {
  const { source, per } = line.quota;
  if (source === 'calls') return costOf(x) === 0 ? TAKES_NONE : costOf(x);
  if (per === 'none') return 0;
  if (source !== 'bytes_in') return line.estimate;
  const declared = x.headers.first('content-length');
  // The gate refused what is no number.
  if (declared !== undefined) return Number(declared) === 0 ? TAKES_NONE : Number(declared);
  return WITHOUT_CONTENT.has(x.method) ? TAKES_NONE : line.estimate;
}

/** Why a line refuses, in words for the client: what is used is not what others hold. */
function whyOf(line: Line, x: Asked): string {
  const { quota, used, isRejecting } = line;
  const text = textOf(quota);
  const need = needOf(line, x);
  if (used >= quota.limit) return `The tenant has used its quota of ${text}.`;
  if (isRejecting) return `The tenant has used ${percent(line)} of its quota of ${text}, from where on it is refused.`;
  if (isUnparted(line, need))
    return `The tenant's quota of ${text} is not parted among the sidecars yet: most of them must see each other first.`;
  if (isHere(line, need))
    return `Of the tenant's quota of ${text} there is more, but this sidecar has to account for what it spent first.`;
  if (isToBeHad(line, need))
    return `The tenant's quota of ${text} is not used up: what is left of it is reserved for other sidecars or not handed out yet; it is asked for.`;
  if (isAwaited(line, need))
    return `The tenant's quota of ${text} is not used up: what is left of it is reserved by requests in flight, and free again where they use less.`;
  if (used + need > quota.limit) {
    const others = line.reserved > 0 ? '; requests in flight have reserved some of it' : '';
    return `Less is left of the tenant's quota of ${text} than this request takes${others}.`;
  }
  return `The tenant's quota of ${text} is not used up: what is left of it is reserved for sidecars that cannot be reached, or may have been spent by one that crashed.`;
}

/** By those of an account's lines that refuse it. */
export function refusalBy(all: readonly Line[], x: Asked, wall: number): Reply {
  const lines = all.filter((line) => line.isRejecting || isExceeded(line, x));
  // Of a level nobody knows when it falls.
  const isKnown = lines.every(({ quota }) => quota.per !== 'none');
  const [last, waitMs] = lines
    .map((line) => [line, waitOf(line, x, wall)] as const)
    .reduce((most, each) => (each[1] > most[1] ? each : most));
  return refusalOf(whyOf(last, x), lines, isKnown ? waitMs : undefined);
}

export function refusalOf(detail: string, lines: readonly Line[], waitMs: number | undefined): Reply {
  return {
    code: 'quota-exceeded',
    detail,
    ...(waitMs === undefined ? {} : { retryAfterMs: waitMs }),
    members: { 'violated-policies': lines.map(({ policyName }) => policyName) },
  };
}

/** `5000000 requests a month`. */
export function textOf({ limit, unit, per }: Quota): string {
  const window = { day: ' a day', month: ' a month', billing: ' a billing period', none: '' }[per];
  return `${limit} ${unit}${window}`;
}

export function percent({ used, quota }: Line): string {
  return `${Math.floor((used / quota.limit) * 100)} %`;
}
