/**
 * What the client is told: `RateLimit-Policy` and `RateLimit` (draft-ietf-httpapi-ratelimit-headers-10). The policy is made once
 * an allowance and route; what is left is made for each response. The names are those of `violated-policies` in a refusal.
 */
import type { Allowance, RequestRate, Route, Tenant } from '../tenants/index.ts';
import type { Rate } from './gcra.ts';
import { egressRate, type LimitState } from './state.ts';

const SECONDS_PER: Readonly<Record<string, number>> = { s: 1, min: 60, h: 3600, d: 86_400 };
/** Windows tried until the quota is a whole number: 1.5/s is 3 in 2 s. */
const WINDOWS_MAX = 1000;
/** The largest integer of a structured field (RFC 9651 §3.3.1). */
const INTEGER_MAX = 999_999_999_999_999;
/** Hides the rounding of what is left; far below any cost. */
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

/** `"requests";r=50;t=2`: units left, and seconds until the allowance is whole again. */
export function remainingOf(state: LimitState, tenant: Tenant, route: Route | undefined, now: number): string {
  const { index, allowance } = tenant;
  const { requests, concurrency, egress } = allowance;
  let text = '';
  if (requests !== undefined) text = remaining('requests', state.requestsLeft(index, requests, now), requests);
  if (concurrency !== undefined)
    text = joined(text, `"concurrency";r=${Math.max(0, concurrency - state.inFlight(index))}`);
  if (egress !== undefined) {
    const rate = egressRate(egress);
    text = joined(text, remaining('egress', state.egressLeft(index, egress, now), rate));
  }
  if (route?.rate === undefined) return text;
  return joined(text, remaining('route', state.routeLeft(index, route.index, route.rate, now), route.rate));
}

function remaining(name: string, left: number, { perSec, burst }: Rate): string {
  const units = Math.min(Math.max(0, Math.floor(left + ROUNDING)), INTEGER_MAX);
  const seconds = Math.ceil(Math.max(0, (burst - left) / perSec - ROUNDING));
  return `"${name}";r=${units};t=${seconds}`;
}

/** Two lists as one; each may be empty. */
export function joined(text: string, more: string): string {
  return text === '' || more === '' ? text + more : `${text}, ${more}`;
}
