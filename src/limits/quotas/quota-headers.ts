// hot path
/** What the client is told of quotas, in the words of headers.ts: each is a policy of the name that a refusal gives. */
import { joined } from '../headers.ts';
import type { Account } from './account.ts';

/** `"api_calls-month";q=5000000;w=2678400;qu="requests"`; of a gauge without a window. */
export function quotaPolicies({ lines }: Account): string {
  let text = '';
  for (const { policy } of lines) text = joined(text, policy);
  return text;
}

/** The largest integer of a structured field (RFC 9651 §3.3.1). */
const INTEGER_MAX = 999_999_999_999_999;

/** `"api_calls-month";r=4999188;t=388800`: units left, and seconds until the window ends. */
export function quotasLeft({ lines }: Account, wallMs: number): string {
  let text = '';
  for (const { policyName, quota, used, reserved, endMs } of lines) {
    const left = Math.min(Math.max(0, Math.floor(quota.limit - used - reserved)), INTEGER_MAX);
    const until = quota.per === 'none' ? '' : `;t=${Math.ceil((endMs - wallMs) / 1000)}`;
    text = joined(text, `"${policyName}";r=${left}${until}`);
  }
  return text;
}
