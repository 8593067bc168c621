/** Whether a request that failed is sent again: the one rule (RFC 9110 §9.2.2, RFC 9112 §9.3.1). */
import type { Outgoing, Reach } from './attempt.ts';

/** Methods that may be carried out twice. */
const IDEMPOTENT: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS', 'PUT', 'DELETE']);
/** A restarted application closes many idle connections at once; each retry may meet another of them. */
const RETRIES_MAX = 2;

/**
 * Whether the attempt of that number must go on a connection that never carried another: there is none behind it, and any idle one may be
 * about to die as well.
 */
export function needsNewConnection(attempt: number): boolean {
  return attempt > RETRIES_MAX;
}

/** `attempts` were made, the last of which got as far as `reach`. Without content only: what was read of a body is gone. */
export function mayRetry(reach: Reach, { method, body }: Pick<Outgoing, 'method' | 'body'>, attempts: number): boolean {
  if (attempts > RETRIES_MAX || body !== undefined) return false;
  return reach === 'unsent' || (reach === 'unanswered' && IDEMPOTENT.has(method));
}
