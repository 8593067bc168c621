/**
 * What the client is told: `RateLimit-Policy` and `RateLimit` (draft-ietf-httpapi-ratelimit-headers-10). The policy is made once
 * an allowance; what is left is made for each response.
 */
import type { Allowance, Tenant } from '../tenants/index.ts';
import type { LimitState } from './state.ts';

const SECONDS_PER: Readonly<Record<string, number>> = { s: 1, min: 60, h: 3600, d: 86_400 };
const policies = new WeakMap<Allowance, string>();

/** `"requests";q=90;w=60, "concurrency";q=64;qu="concurrent-requests"`, or empty without a limit. */
export function policyOf(allowance: Allowance): string {
  let policy = policies.get(allowance);
  if (policy === undefined) {
    policy = makePolicy(allowance);
    policies.set(allowance, policy);
  }
  return policy;
}

function makePolicy({ requests, concurrency }: Allowance): string {
  const parts: string[] = [];
  if (requests !== undefined) {
    const window = SECONDS_PER[requests.text.slice(requests.text.indexOf('/') + 1)] as number;
    parts.push(`"requests";q=${Math.max(1, Math.floor(requests.perSec * window))};w=${window}`);
  }
  if (concurrency !== undefined) parts.push(`"concurrency";q=${concurrency};qu="concurrent-requests"`);
  return parts.join(', ');
}

/** `"requests";r=50;t=2`: units left, and seconds until the allowance is whole again. */
export function remainingOf(state: LimitState, { allowance, index }: Tenant, now: number): string {
  const parts: string[] = [];
  const { requests, concurrency } = allowance;
  if (requests !== undefined) {
    const left = state.requests.left(index, requests, now);
    parts.push(
      `"requests";r=${Math.max(0, Math.floor(left))};t=${Math.max(0, Math.ceil((requests.burst - left) / requests.perSec))}`,
    );
  }
  if (concurrency !== undefined) parts.push(`"concurrency";r=${Math.max(0, concurrency - state.inFlight(index))}`);
  return parts.join(', ');
}
