// hot path
/** What the client is told of quotas, in the words of headers.ts: each is a policy of the name that a refusal gives. */
import type { Reply } from '../../pipeline/index.ts';
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

/**
 * `"api_calls-month";r=4999188;t=388800`: units left, and seconds until the window ends; what sidecars hold that cannot be reached is not left. Of those by
 * which a request is refused: none, and seconds until a retry makes sense. They may be others' to spend at the moment, or may be spent at a lower rate.
 */
export function quotasLeft({ lines }: Account, wallMs: number, refusal?: Reply): string {
  const refusing = refusal?.members?.['violated-policies'] as readonly string[] | undefined;
  let text = '';
  for (const line of lines) {
    const { policyName, quota, endMs } = line;
    const isRefusing = refusing?.includes(policyName) === true;
    const left = isRefusing ? 0 : Math.min(Math.max(0, Math.floor(line.left)), INTEGER_MAX);
    const untilMs = (isRefusing ? refusal?.retryAfterMs : undefined) ?? endMs - wallMs;
    const until = quota.per === 'none' ? '' : `;t=${Math.ceil(untilMs / 1000)}`;
    text = joined(text, `"${policyName}";r=${left}${until}`);
  }
  return text;
}
