/**
 * What the client is told: `RateLimit-Policy` and `RateLimit` (draft-ietf-httpapi-ratelimit-headers-10). The policy is made once
 * an allowance and route; what is left is made for each response. The names are those of `violated-policies` in a refusal.
 */
import type { Allowance, RequestRate, Route, Tenant } from '../tenants/index.ts';
import { ROUTE } from './fleet/limit-numbers.ts';
import { type Rate, wholeUnits } from './gcra.ts';
import type { LimitState } from './state.ts';

const SECONDS_PER: Readonly<Record<string, number>> = { s: 1, min: 60, h: 3600, d: 86_400 };
/** Windows tried until the quota is a whole number: 1.5/s is 3 in 2 s. */
const WINDOWS_MAX = 1000;
/** The largest integer of a structured field (RFC 9651 §3.3.1). */
const INTEGER_MAX = 999_999_999_999_999;
/** Hides the rounding of a time, s. */
const ROUNDING = 1e-6;

const ofTenant = new WeakMap<Allowance, string>();
const ofRoute = new WeakMap<RequestRate, string>();

/** `"requests";q=90;w=60, "concurrency";q=64;qu="concurrent-requests"`, or empty without a limit. */
export function policyOf(allowance: Allowance, route: RequestRate | undefined): string {
  const tenant = remembered(ofTenant, allowance, () => policyOfTenant(allowance));
  if (route === undefined) return tenant;
  const more = remembered(ofRoute, route, () => `"route";${quota(route)}`);
  return tenant === '' ? more : `${tenant}, ${more}`;
}

function remembered<K extends object>(made: WeakMap<K, string>, key: K, make: () => string): string {
  let text = made.get(key);
  if (text === undefined) {
    text = make();
    made.set(key, text);
  }
  return text;
}

function policyOfTenant({ requests, concurrency, egress }: Allowance): string {
  const parts: string[] = [];
  if (requests !== undefined) parts.push(`"requests";${quota(requests)}`);
  if (concurrency !== undefined) parts.push(`"concurrency";q=${concurrency};qu="concurrent-requests"`);
  if (egress !== undefined)
    parts.push(`"egress";${quota({ perSec: egress.bytesPerSec, text: egress.text })};qu="content-bytes"`);
  return parts.join(', ');
}

/** Units in a window of whole seconds, both integers: the unit the rate was written in, or as many of it as make the quota whole. */
function quota({ perSec, text }: { readonly perSec: number; readonly text: string }): string {
  const window = SECONDS_PER[text.slice(text.indexOf('/') + 1)] as number;
  const units = perSec * window;
  for (let times = 1; times <= WINDOWS_MAX; times++) {
    const whole = Math.round(units * times);
    if (whole >= 1 && Math.abs(units * times - whole) < whole * 1e-12)
      return `q=${Math.min(whole, INTEGER_MAX)};w=${window * times}`;
  }
  return units >= 1 ? `q=${Math.floor(units)};w=${window}` : `q=1;w=${Math.ceil(window / units)}`;
}

/**
 * `"requests";r=50;t=2`: units that this sidecar would admit now, and seconds until its allowance is whole again. Of a fleet's limit that is the
 * part here and what it may borrow: who is refused is not told of units that others may admit. So `r` of what a request is refused for is less
 * than it costs, and `t` not before `Retry-After`.
 */
export function remainingOf(state: LimitState, tenant: Tenant, route: Route | undefined, now: number): string {
  const { index, allowance } = tenant;
  const { requests, concurrency, egress } = allowance;
  let text = '';
  if (requests !== undefined) {
    const here = state.here(index, requests);
    const left = state.requests.left(index, here, now);
    const units = unitsOf(wholeUnits(left, here, now), state.lent(index, requests), route?.cost ?? 1);
    text = remaining('requests', units, left, here, route?.cost ?? 1);
  }
  if (concurrency !== undefined)
    text = joined(text, `"concurrency";r=${Math.max(0, concurrency - state.inFlight(index))}`);
  if (egress !== undefined) {
    const here = state.egressHere(index, egress);
    const left = state.egress.left(index, here, now);
    text = joined(text, remaining('egress', wholeUnits(left, here, now), left, here, 1));
  }
  if (route?.rate === undefined) return text;
  const here = state.here(index, route.rate, ROUTE + route.index);
  const left = state.routes.left(route.index, index, here, now);
  const units = unitsOf(wholeUnits(left, here, now), state.lent(index, route.rate, ROUTE + route.index), 1);
  return joined(text, remaining('route', units, left, here, 1));
}

/** One request takes from the part here or from what is lent, never from both: where neither has what it costs, they do not add up to it. */
function unitsOf(own: number, borrowed: number, cost: number): number {
  const lent = Math.floor(borrowed);
  return own >= cost || lent >= cost ? own + lent : Math.max(own, lent);
}

function remaining(name: string, units: number, left: number, { perSec, burst }: Rate, cost: number): string {
  const seconds = Math.ceil(Math.max(0, (burst - left) / perSec - ROUNDING));
  // What admits nothing now is told to be asked again in a second at the earliest, also where no time makes it whole.
  return said(name, Math.min(units, INTEGER_MAX), units < cost ? Math.max(1, seconds) : seconds);
}

/** Items that were said lately, by little of what they say, compared in full: few counts are left and few seconds to wait. A power of two. */
const SAID_MAX = 1024;
const saidLately: ({ name: string; units: number; seconds: number; text: string } | undefined)[] = new Array(
  SAID_MAX,
).fill(undefined);

function said(name: string, units: number, seconds: number): string {
  const at = (units + 131 * seconds + 17 * name.length) & (SAID_MAX - 1);
  const last = saidLately[at];
  if (last !== undefined && last.name === name && last.units === units && last.seconds === seconds) return last.text;
  const text = `"${name}";r=${units};t=${seconds}`;
  saidLately[at] = { name, units, seconds, text };
  return text;
}

/** Two lists as one; each may be empty. */
export function joined(text: string, more: string): string {
  return text === '' || more === '' ? text + more : `${text}, ${more}`;
}
