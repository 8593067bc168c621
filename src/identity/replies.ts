/** The answers of this room. Shared objects: a refusal allocates nothing, and says nothing that a stranger could use. */
import type { Reply } from '../pipeline/index.ts';

const bearer = (error?: string): readonly string[] => [
  'WWW-Authenticate',
  error === undefined ? 'Bearer' : `Bearer error="${error}"`,
];

export const replies = {
  missing: {
    code: 'credential-missing',
    detail: 'The request carries no credential that names a tenant.',
    headers: bearer(),
  },
  invalid: {
    code: 'credential-invalid',
    detail: 'The credential is not valid here.',
    headers: bearer('invalid_token'),
  },
  expired: { code: 'credential-expired', detail: 'The credential has expired.', headers: bearer('invalid_token') },
  unavailable: {
    code: 'identity-unavailable',
    detail: 'The keys to verify this credential are not available.',
    retryAfterMs: 1000,
  },
  mismatch: { code: 'tenant-mismatch', detail: 'The request names more than one tenant.' },
  unknown: { code: 'tenant-unknown', detail: 'The credential names no tenant that is known here.' },
  pending: { code: 'tenant-pending', detail: 'The tenant is not open yet.' },
  readonly: { code: 'tenant-readonly', detail: 'The tenant may read but not change.' },
  suspended: { code: 'tenant-suspended', detail: 'The tenant is suspended.' },
  offboarding: { code: 'tenant-offboarding', detail: 'The tenant is closed.' },
  spoofed: { code: 'protected-header', detail: 'The request carries a header that only the inside may set.' },
} as const satisfies Record<string, Reply>;
