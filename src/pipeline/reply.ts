/**
 * An answer that a stage gives in place of the application's: facts, never statuses. `proxy/rescue.ts` alone
 * turns it into bytes, for HTTP and gRPC both.
 */
export type ReplyCode =
  // The request itself.
  | 'malformed-request'
  | 'head-too-large'
  | 'target-too-long'
  | 'body-too-large'
  | 'unsupported-transfer-coding'
  | 'method-not-supported'
  | 'expectation-failed'
  | 'head-timeout'
  | 'protected-header'
  | 'hop-by-hop-nomination'
  // Who is calling.
  | 'credential-missing'
  | 'credential-invalid'
  | 'credential-expired'
  | 'identity-unavailable'
  | 'tenant-mismatch'
  | 'tenant-unknown'
  | 'tenant-pending'
  | 'tenant-readonly'
  | 'tenant-suspended'
  | 'tenant-offboarding'
  | 'anonymous-rate'
  // How much.
  | 'quota-exceeded'
  | 'concurrency-exceeded'
  | 'temporary-reduced-capacity'
  // The other side.
  | 'upstream-unreachable'
  | 'upstream-reset'
  | 'upstream-timeout'
  | 'upstream-malformed'
  | 'upstream-unknown'
  // Ourselves.
  | 'stage-failed'
  | 'draining'
  | 'not-ready';

/** An answer that the application gave before, given again in place of a new one. Only to a request without content. */
export interface KeptAnswer {
  readonly status: number;
  /** Name and value alternating, without framing. The taker's. */
  readonly fields: string[];
  readonly content: Buffer;
}

export interface Reply {
  readonly code: ReplyCode;
  /** One sentence for the caller: what was wrong with this request. Never names another tenant, an address or a secret. */
  readonly detail: string;
  /** When a retry makes sense, ms from now. */
  readonly retryAfterMs?: number;
  /** Fields to add to the answer, name and value alternating. */
  readonly headers?: readonly string[];
  /** Members to add to the problem document. */
  readonly members?: Readonly<Record<string, unknown>>;
}
