/**
 * The tenancy as the data path sees it: compiled, immutable, one snapshot per generation.
 *
 *   documents ──▶ Snapshot { tenants ─▶ plan ─▶ ladder, providers, routes, lookups }
 *
 * An exchange keeps the snapshot it began with; a reload replaces one pointer.
 */
import type { TenantId, TenantIndex } from '../core/index.ts';

/**
 * - `pending`: onboarded, not yet open: every request is refused.
 * - `active`: served.
 * - `readonly`: only GET, HEAD and OPTIONS are served.
 * - `suspended`: every request is refused until it is active again.
 * - `offboarding`: every request is refused for good.
 */
export type TenantState = 'pending' | 'active' | 'readonly' | 'suspended' | 'offboarding';

/** A request rate, compiled. */
export interface RequestRate {
  /** Cost units a second. */
  readonly perSec: number;
  /** Cost units at once. */
  readonly burst: number;
  /** Banked burst, or undefined. `earn` is a share of the unused allowance, `capUnits` the bank's size in cost units. */
  readonly credits: { readonly earn: number; readonly capUnits: number } | undefined;
  /** As written, for headers, explanations and errors: `200/s`. */
  readonly text: string;
  /** By no means more in a fleet, whatever fails. */
  readonly isStrict?: boolean;
}

export interface ByteRate {
  readonly bytesPerSec: number;
  readonly text: string;
}

/** Who counts a meter, and when: the sidecar when a request is admitted, or when it is done; or the application, by reports. */
export type QuotaSource = 'calls' | 'bytes_in' | 'bytes_out' | 'compute_ms' | 'reported';

/**
 * - `notify`: the application is told, and the operator. - `shape`: requests beyond a rate wait or are refused.
 * - `degrade`: served cheaper. - `reject`: refused.
 */
export type QuotaAction = 'notify' | 'shape' | 'degrade' | 'reject';

export interface QuotaThreshold {
  /** Units from which on it is in force: a share of the limit. */
  readonly at: number;
  /** As written: `80%`. */
  readonly text: string;
  readonly action: QuotaAction;
  /** Of `shape`, as written: `50%`, `10/s`. */
  readonly rate: string | undefined;
  /** Of `shape`, cost units a second; Infinity otherwise. */
  readonly perSec: number;
}

/** A quota of one meter, compiled. */
export interface Quota {
  readonly meter: string;
  readonly source: QuotaSource;
  /** `none`: a gauge has no window. */
  readonly per: 'day' | 'month' | 'billing' | 'none';
  readonly limit: number;
  readonly unit: string;
  readonly isHard: boolean;
  /** Units that a request reserves until it is done; undefined: learnt from those before. */
  readonly estimate: number | undefined;
  /** Rising. */
  readonly thresholds: readonly QuotaThreshold[];
}

/** What one tenant may take: its plan with its overrides laid over it, key by key. */
export interface Allowance {
  readonly requests: RequestRate | undefined;
  readonly egress: ByteRate | undefined;
  readonly concurrency: number | undefined;
  /** One a meter, at most 8 of the plan and 8 of the tenant. */
  readonly quotas: readonly Quota[];
  /** Decide and count, but refuse nothing. */
  readonly shadow: boolean;
}

/** One step of the ladder. */
export type Rung =
  | { readonly kind: 'credit' }
  | { readonly kind: 'shape'; readonly delayMsMax: number }
  | { readonly kind: 'deprioritize' }
  | { readonly kind: 'stale'; readonly staleMsMax: number }
  | { readonly kind: 'route' }
  | { readonly kind: 'features'; readonly features: readonly string[] }
  | { readonly kind: 'reject' };

export interface Plan {
  readonly name: string;
  /** Dense slot for metric arrays. Stable across generations while the plan exists. */
  readonly index: number;
  readonly weight: number;
  readonly allowance: Allowance;
  readonly ladder: readonly Rung[];
  /** Of its rungs `stale` the longest, ms; 0 without one: then no answer is kept. */
  readonly staleMsMax: number;
  readonly source: string;
}

export interface ApiKey {
  readonly id: string;
  /** HMAC-SHA256 of the whole key under the pepper, 32 bytes. */
  readonly hash: Uint8Array;
  /** Wall ms from which on the key is refused; Infinity when it does not expire. */
  readonly expiresMs: number;
}

export interface Tenant {
  readonly id: TenantId;
  readonly index: TenantIndex;
  readonly state: TenantState;
  readonly plan: Plan;
  readonly allowance: Allowance;
  readonly timezone: string;
  /** 1 to 31: the day of the month on which its billing period begins. */
  readonly billingDay: number;
  readonly labels: Readonly<Record<string, string>>;
  /** Every external id that means this tenant, its own name first. */
  readonly claims: readonly string[];
  readonly hosts: readonly string[];
  readonly apiKeys: readonly ApiKey[];
  /** The file its document stands in, relative to the tenancy directory. So has every object. */
  readonly source: string;
}

export interface IdentityProvider {
  readonly name: string;
  readonly issuer: string;
  readonly audiences: readonly string[];
  readonly algorithms: readonly string[];
  readonly jwks:
    | {
        readonly file: string /** Read with the generation: keys and documents change together. */;
        readonly text: string;
      }
    | { readonly url: string; readonly allowPrivate: boolean };
  readonly tenantClaim: string;
  /** Exact `typ`, lower case; undefined: `jwt`, `at+jwt` or none. */
  readonly tokenType: string | undefined;
  readonly clockSkewMs: number;
  readonly source: string;
}

export interface Route {
  readonly name: string;
  /** Dense slot for limit arrays. Stable across generations while the route exists. */
  readonly index: number;
  readonly path: { readonly kind: 'exact' | 'prefix'; readonly text: string };
  /** undefined: every method. */
  readonly methods: ReadonlySet<string> | undefined;
  readonly cost: number;
  readonly isCritical: boolean;
  readonly rate: RequestRate | undefined;
  /** Name of the upstream for degraded requests. */
  readonly degradedUpstream: string | undefined;
  readonly timeoutMs: number | undefined;
  readonly bodyBytesMax: number | undefined;
  readonly source: string;
}

export interface RouteLookup {
  find(method: string, path: string): Route | undefined;
}

/** One generation of the tenancy. Immutable. */
export interface Snapshot {
  /** 1, 2, 3 …; 0 is the empty snapshot before the first load. */
  readonly generation: number;
  readonly tenants: ReadonlyMap<string, Tenant>;
  readonly plans: ReadonlyMap<string, Plan>;
  readonly providers: ReadonlyMap<string, IdentityProvider>;
  /** Most specific first: the first match wins. */
  readonly routes: readonly Route[];
  /** The same routes, found without looking at each. */
  readonly routeIndex: RouteLookup;
  /** By any external id, the tenant's own name included. */
  readonly tenantByClaim: ReadonlyMap<string, Tenant>;
  /** By lower-case host name without port and trailing dot. */
  readonly tenantByHost: ReadonlyMap<string, Tenant>;
  /** By key id. Key ids are unique in the tenancy. */
  readonly tenantByApiKeyId: ReadonlyMap<string, Tenant>;
  /** One more than the largest tenant index in use: how long typed arrays must be. */
  readonly tenantSlots: number;
}

export const emptySnapshot: Snapshot = {
  generation: 0,
  tenants: new Map(),
  plans: new Map(),
  providers: new Map(),
  routes: [],
  routeIndex: { find: () => undefined },
  tenantByClaim: new Map(),
  tenantByHost: new Map(),
  tenantByApiKeyId: new Map(),
  tenantSlots: 0,
};

/** A problem in the configuration, one line for a person: `file:line:column Kind "name" path: message (remedy)`. */
export interface Finding {
  readonly severity: 'error' | 'warning';
  readonly file: string;
  readonly line: number;
  readonly column: number;
  readonly kind: string | undefined;
  readonly name: string | undefined;
  /** `spec.rate.requests.limit`, or empty when the document as a whole is meant. */
  readonly path: string;
  readonly message: string;
  readonly remedy: string | undefined;
  /** What is not there and others want too, such as `Plan/free`: all of them are mended in one place. */
  readonly wants?: string;
}

/** The most specific route whose path and method match; undefined when none does. */
export function routeOf(snapshot: Snapshot, method: string, path: string): Route | undefined {
  return snapshot.routeIndex.find(method, path);
}
