/** `reeve limits check`: a request explained by the sidecar that would serve it; spends nothing. */
import type { Explanation } from '../../admin/index.ts';
import { parseDurationMs, ReeveError, systemTimers } from '../../core/index.ts';
import { askAboutTenant } from '../ask-admin.ts';
import { type Form, NO, paint, printJson, YES } from '../output.ts';
import { durationText, timesOf } from '../times.ts';

/** Of the room for rights of hard quotas, what is named before it is full. */
const RIGHTS_NEAR = 0.8;

interface Asking {
  readonly admin: string;
  readonly output: Form;
  readonly method: string;
  readonly path: string;
}

export async function checkLimits(name: string, { admin, output, method, path }: Asking): Promise<void> {
  if (!path.startsWith('/'))
    throw new ReeveError('usage', `expected a path, got ${JSON.stringify(path)}`, {
      place: '--path',
      remedy: 'such as /exports/1',
    });
  const query = new URLSearchParams({ tenant: name, method, path });
  const explanation = await askAboutTenant<Explanation>(admin, name, `/v1/explain?${query}`);
  if (output === 'json') printJson(explanation);
  else process.stdout.write(asText(explanation));
}

function asText(explanation: Explanation): string {
  const { tenant, generation, identify, limits, method, path } = explanation;
  const rows: [string, string][] = [
    ['tenant', `${tenant}, ${identify.state}, plan ${limits.plan}${limits.shadow ? ' in shadow' : ''}`],
    ['config', `generation ${generation}`],
    ...identify.sources.map((source): [string, string] => ['identity', sourceText(source)]),
    ['route', routeText(limits)],
    ['requests', requestsText(limits)],
    ...fleetRows(limits),
    ['egress', egressText(limits)],
    [
      'concurrency',
      `${limits.concurrency.inFlight} of ${limits.concurrency.limit ?? 'no limit'}, ${limits.waiting} waiting`,
    ],
    ...limits.quotas.map((quota): [string, string] => ['quota', quotaText(quota)]),
    ...rightsRows(limits),
    ...admissionRows(explanation),
    ...staleRows(limits),
    ['ladder', `${limits.ladder.join(' → ')}${limits.isOverLong ? ' (over its limit for a while)' : ''}`],
  ];
  const text = rows.map(([name, value]) => `${name.padEnd(12)} ${value}\n`).join('');
  return `${text}${method} ${path} would get: ${outcomeText(explanation)}\n`;
}

function sourceText({ name, isProof, accepts, refuses }: Explanation['identify']['sources'][number]): string {
  const none = refuses === undefined ? 'nothing here names this tenant' : `refuses ${refuses}`;
  const means = accepts.length === 0 ? none : accepts.join(' · ');
  return `${name}${isProof ? '' : ' (must agree, proves nothing alone)'}: ${means}`;
}

function egressText({ egress, fleet }: Explanation['limits']): string {
  if (egress === undefined) return 'no limit';
  return `${egress.limit}, ${egress.left} bytes left${fleet === undefined ? '' : `, at most ${egress.here} a second here`}`;
}

function routeText({ route, fleet }: Explanation['limits']): string {
  if (route === undefined) return 'none';
  const here = fleet === undefined ? '' : `, at most ${route.here}/s here`;
  const limit = route.limit === undefined ? '' : `, ${route.limit}, ${route.left} left${here}`;
  return `${route.name}, cost ${route.cost}${limit}${route.critical ? ', critical' : ''}`;
}

function requestsText({ requests, fleet }: Explanation['limits']): string {
  if (requests === undefined) return 'no limit';
  const { limit, left, burst, credit } = requests;
  const room = fleet === undefined ? `${left} of ${burst} left` : `${left} left here, of a burst of ${burst} for all`;
  return `${limit}, ${room}, ${credit} in credit`;
}

/** Peers that are shown one by one; the others ask for less. */
const PEERS_SHOWN = 5;

type FleetShares = NonNullable<Explanation['limits']['fleet']>;

function fleetRows({ fleet }: Explanation['limits']): [string, string][] {
  if (fleet === undefined) return [];
  const { members, demand, peers } = fleet;
  const rest = peers.slice(PEERS_SHOWN);
  const rows: [string, string][] = [
    ['fleet', `${members} members ask for ${round(demand)}/s together, ${bucketText(fleet)}`],
    ['share here', shareText(fleet)],
    ...peers.slice(0, PEERS_SHOWN).map((peer): [string, string] => ['peer', peerText(peer, fleet)]),
  ];
  if (rest.length > 0) {
    // What each may take is no part of one sum; what they ask for and admit is.
    const sum = (of: 'demand' | 'admitted'): number => round(rest.reduce((all, each) => all + each[of], 0));
    rows.push(['peer', `${rest.length} more ask for ${sum('demand')}/s, admit ${sum('admitted')}/s`]);
  }
  return rows;
}

function bucketText({ level, strict }: FleetShares): string {
  if (strict !== undefined) return `strict: cut into ${strict.parts} parts, whatever each is asked for`;
  return `${round(level as number)} left in the bucket of all`;
}

/** Why a sidecar has no part of a strict limit. */
const WITHOUT = {
  held: '',
  waits: 'this sidecar is new, and the others may not know of it yet',
  others: 'there are fewer parts than members, and all are others’',
  leaves: 'this sidecar is leaving',
} as const;

function shareText({ here, demand, strict }: FleetShares): string {
  const asked = `for ${round(here.demand)}/s asked for here (${percent(here.demand, demand)} %)`;
  if (strict !== undefined && strict.standing !== 'held') return `none, ${asked}: ${WITHOUT[strict.standing]}`;
  const borrowed = here.borrow >= 1 ? `; ${round(here.borrow)} more may be borrowed` : '';
  return `${rateText(here.share, strict)}, at most ${round(here.burst)} at once, ${asked}${borrowed}`;
}

/** Parts of a strict limit add up to it. Other shares do so only when all of it is asked for: below that each may take of what is free. */
function rateText(share: number, strict: FleetShares['strict']): string {
  return `${strict === undefined ? 'up to ' : ''}${round(share)}/s`;
}

function peerText(peer: FleetShares['peers'][number], { demand, strict }: FleetShares): string {
  const { name, state, share, admitted, ageMs } = peer;
  const heard = `heard ${durationText(ageMs)} ago`;
  if (state === 'dead' || state === 'left')
    return `${name} is ${state === 'dead' ? 'dead' : 'gone'}, asked for ${round(peer.demand)}/s, ${share > 0 ? `share ${round(share)}/s` : 'nothing'} is held for it, ${heard}`;
  const asked = `asks for ${round(peer.demand)}/s (${percent(peer.demand, demand)} %)`;
  const doubt = state === 'alive' ? '' : ` (${state})`;
  return `${name} ${asked}: share ${rateText(share, strict)}, admits ${round(admitted)}/s, ${heard}${doubt}`;
}

function percent(part: number, all: number): number {
  return all === 0 ? 0 : round((100 * part) / all);
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}

interface Watching {
  readonly admin: string;
  readonly output: Form;
  readonly interval: string;
  readonly count?: string;
}

/** Units behind the names, as `kubectl top` has them. `left` and `share` are of the sidecar that is asked, `demand` and `level` of all. */
const HEADINGS = [
  ...['left (req)', 'in bank (req)', 'in flight', 'members'],
  ...['demand (req/s)', 'here (req/s)', 'share (req/s)', 'level (req)'],
] as const;
/** At least so wide is a column. */
const CELL_CHARS = 9;

/** A line each interval, until interrupted, or `count` times. */
export async function watchLimits(name: string, { admin, output, interval, count }: Watching): Promise<void> {
  const periodMs = parseDurationMs(interval);
  if (periodMs === undefined || periodMs < 100)
    throw new ReeveError('usage', `expected a time of 100ms or more, got ${JSON.stringify(interval)}`, {
      place: '--interval',
      remedy: 'such as 1s',
    });
  let headings: readonly string[] = [];
  const row = (cells: readonly unknown[]): void => {
    const wide = cells.map((cell, at) => String(cell).padStart(Math.max(CELL_CHARS, headings[at]?.length ?? 0)));
    process.stdout.write(`${wide.join(' ')}\n`);
  };
  for (let times = timesOf(count, Number.POSITIVE_INFINITY); times > 0; times--) {
    const limits = await askAboutTenant<Explanation['limits']>(admin, name, `/v1/limits/${encodeURIComponent(name)}`);
    if (output === 'text' && headings.length === 0) {
      headings = [...HEADINGS, ...limits.quotas.map(quotaHeading), 'decision'];
      row(headings);
    }
    const { requests, concurrency, fleet, wouldGet } = limits;
    if (output === 'json') process.stdout.write(`${JSON.stringify(limits)}\n`);
    else
      row([
        requests?.left ?? '-',
        requests?.credit ?? '-',
        concurrency.inFlight,
        fleet?.members ?? '-',
        ...(fleet === undefined
          ? ['-', '-', '-', '-']
          : [
              ...[fleet.demand, fleet.here.demand, fleet.here.share].map(round),
              fleet.level === undefined ? '-' : round(fleet.level),
            ]),
        ...limits.quotas.map((quota) => `${quota.used}/${quota.limit}`),
        wouldGet.decision === 'pass' ? 'pass' : `${wouldGet.decision}: ${wouldGet.because}`,
      ]);
    if (times > 1) await systemTimers.sleep(periodMs);
  }
}

/** As wide as its cells are when it is used up. */
function quotaHeading({ meter, unit, limit }: Explanation['limits']['quotas'][number]): string {
  return (meter === unit ? meter : `${meter} (${unit})`).padStart(`${limit}/${limit}`.length);
}

function quotaText(quota: Explanation['limits']['quotas'][number]): string {
  const { meter, mode, per, used, reserved, limit, unit, here, until, state } = quota;
  const held = reserved > 0 ? `, ${reserved} reserved` : '';
  const window = until === undefined ? 'a gauge' : `a ${per === 'billing' ? 'billing period' : per}, until ${until}`;
  return `${meter}: ${used} of ${limit} ${unit}${held}${hereText(here)}, ${mode}, ${window}: ${state}`;
}

function hereText(here: Explanation['limits']['quotas'][number]['here']): string {
  if (here === undefined) return '';
  const { used, rights, elsewhere, unreachable = 0, isParted = true } = here;
  if (!isParted) return `, ${used} here, not parted among the sidecars yet: most of them must see each other first`;
  const held = rights === undefined ? '' : ` of ${rights} it may, ${elsewhere} held elsewhere`;
  const lost =
    unreachable >= 1 ? `, ${unreachable} held by sidecars that cannot be reached, or spent by some that crashed` : '';
  return `, ${used} here${held}${lost}`;
}

/** Only what an operator should do something about: rows that found no room, or soon will not. */
function rightsRows({ rights }: Explanation['limits']): [string, string][] {
  if (rights === undefined || (rights.refused === 0 && rights.rows < RIGHTS_NEAR * rights.max)) return [];
  const remedy = 'use soft quotas, fewer hard ones or longer windows';
  const { rows, max, refused } = rights;
  return [['rights', `room for hard quotas: ${rows} of ${max} rows, ${refused} found none: ${remedy}`]];
}

function admissionRows({ admission }: Explanation): [string, string][] {
  if (admission === null) return [];
  const { upstream, unanswered, limit, waiting, waitingOfTenant, usualMs } = admission;
  const usual = usualMs > 0 ? `, answers usually in ${durationText(usualMs)}` : '';
  const line = `${waiting} waiting${waiting > 0 ? ` (${waitingOfTenant} of the tenant's)` : ''}`;
  return [['admission', `${upstream}: ${unanswered} of ${limit} unanswered, ${line}${usual}`]];
}

function staleRows({ stale }: Explanation['limits']): [string, string][] {
  if (stale === undefined) return [];
  // Only a whole request tells whether one of them is for it.
  return [
    ['stale', `answers kept: ${stale.answers}, ${stale.bytes} bytes; a GET that one of them fits gets it at that rung`],
  ];
}

function outcomeText({ wouldGet, upstream, admission }: Explanation): string {
  const { decision, code, status, because, waitMs, rung } = wouldGet;
  if (code !== null)
    return `${NO()} ${paint('red', `${status} ${code}`)}, ${because}${waitMs > 0 ? ` (retry after ${durationText(waitMs)})` : ''}`;
  const step = rung === null || rung === decision ? '' : ` (${rung})`;
  const wait = waitMs > 0 ? `, after ${durationText(waitMs)}` : '';
  return `${YES()} ${paint('green', decision)}${step}, ${because}; goes to ${upstream}${wait}${admission?.wouldWait === true ? ', when its turn comes' : ''}`;
}
