/** How two snapshots differ, in the words of the documents, for the command line. */
import type { Allowance, IdentityProvider, Plan, Quota, Route, Rung, Snapshot, Tenant } from './model.ts';

export interface Change {
  /** As it stands under `spec`: `rate.requests.limit`. */
  readonly key: string;
  /** Undefined where it says nothing. */
  readonly before: string | undefined;
  readonly after: string | undefined;
}

export interface Difference {
  readonly kind: 'Plan' | 'Tenant' | 'IdentityProvider' | 'Route';
  readonly name: string;
  readonly change: 'added' | 'removed' | 'changed';
  /** Of an object that changed. */
  readonly changes: readonly Change[];
}

/** What a document says, by key; defaults are filled in. */
type Words = ReadonlyMap<string, string>;
type Said = string | number | boolean | readonly string[] | undefined;

/** What `next` says that `previous` did not. Slots and files are not compared: they are not what a person wrote. */
export function diffSnapshots(previous: Snapshot, next: Snapshot): Difference[] {
  const routes = (snapshot: Snapshot) => new Map(snapshot.routes.map((route) => [route.name, route]));
  return [
    ...diffMaps('Plan', previous.plans, next.plans, ofPlan),
    ...diffMaps('Tenant', previous.tenants, next.tenants, ofTenant),
    ...diffMaps('IdentityProvider', previous.providers, next.providers, ofProvider),
    ...diffMaps('Route', routes(previous), routes(next), ofRoute),
  ];
}

function diffMaps<T>(
  kind: Difference['kind'],
  previous: ReadonlyMap<string, T>,
  next: ReadonlyMap<string, T>,
  wordsOf: (object: T) => Words,
): Difference[] {
  const differences: Difference[] = [];
  for (const [name, object] of next) {
    const before = previous.get(name);
    const changes = before === undefined ? [] : changesOf(wordsOf(before), wordsOf(object));
    if (before === undefined) differences.push({ kind, name, change: 'added', changes });
    else if (changes.length > 0) differences.push({ kind, name, change: 'changed', changes });
  }
  for (const name of previous.keys())
    if (!next.has(name)) differences.push({ kind, name, change: 'removed', changes: [] });
  return differences;
}

/** Compared, and not shown: hashes of keys, and the text of a key file. */
const HIDDEN = /\.(hash|keys)$/;

function changesOf(before: Words, after: Words): Change[] {
  return [...new Set([...before.keys(), ...after.keys()])]
    .filter((key) => before.get(key) !== after.get(key))
    .map((key) => ({ key, before: shown(key, before), after: shown(key, after) }));
}

function shown(key: string, words: Words): string | undefined {
  return words.has(key) && HIDDEN.test(key) ? '…' : words.get(key);
}

function words(said: Readonly<Record<string, Said>>): Map<string, string> {
  const map = new Map<string, string>();
  for (const [key, value] of Object.entries(said))
    if (value !== undefined) map.set(key, Array.isArray(value) ? `[${value.join(', ')}]` : String(value));
  return map;
}

function ofPlan({ weight, allowance, ladder }: Plan): Words {
  return words({ weight, ...ofAllowance(allowance), degrade: ladder.map(rungText) });
}

function rungText(rung: Rung): string {
  if (rung.kind === 'shape') return `shape: ${rung.delayMsMax}ms`;
  if (rung.kind === 'stale') return `stale: ${rung.staleMsMax}ms`;
  if (rung.kind === 'features') return `features: [${rung.features.join(', ')}]`;
  return rung.kind === 'route' ? 'route: degraded' : rung.kind;
}

function ofAllowance({ requests, egress, concurrency, quotas, shadow }: Allowance): Record<string, Said> {
  return {
    ...ofRequests(requests),
    'rate.egress.limit': egress?.text,
    concurrency,
    ...Object.assign({}, ...quotas.map(ofQuota)),
    shadow,
  };
}

function ofQuota({ meter, limit, per, isHard, unit, estimate, thresholds }: Quota): Record<string, Said> {
  return under(
    `quotas.${meter}`,
    Object.entries({
      limit,
      ...(per === 'none' ? { gauge: true } : { per }),
      mode: isHard ? 'hard' : 'soft',
      unit,
      estimate,
      // As text: that of a plan and of its tenant are equal when they say the same.
      thresholds: `[${thresholds.map(({ text, action, rate }) => (rate === undefined ? `${text} ${action}` : `${text} ${action} ${rate}`)).join(', ')}]`,
    }),
  );
}

function ofRequests(requests: Allowance['requests']): Record<string, Said> {
  if (requests === undefined) return {};
  const { text, burst, credits, perSec, isStrict } = requests;
  return {
    'rate.requests.limit': text,
    'rate.requests.burst': burst,
    'rate.requests.strict': isStrict,
    'rate.requests.credits.earn': credits && `${round(credits.earn * 100)}%`,
    'rate.requests.credits.cap': credits && `${round(credits.capUnits / perSec)}s`,
  };
}

/** Without what binary fractions leave behind. */
function round(value: number): number {
  return Math.round(value * 1e6) / 1e6;
}

function ofTenant({ state, plan, allowance, timezone, billingDay, labels, claims, hosts, apiKeys }: Tenant): Words {
  const ofItsPlan = ofAllowance(plan.allowance);
  const overrides = Object.entries(ofAllowance(allowance)).filter(([key, value]) => value !== ofItsPlan[key]);
  return words({
    plan: plan.name,
    state,
    timezone,
    billingDay,
    ...under('overrides', overrides),
    ...under('labels', Object.entries(labels)),
    // The first is the name.
    'identity.claims': claims.slice(1),
    'identity.hosts': hosts,
    ...under(
      'identity.apiKeys',
      apiKeys.flatMap(({ id, hash, expiresMs }): [string, Said][] => [
        [`${id}.hash`, Buffer.from(hash).toString('hex')],
        [`${id}.expires`, Number.isFinite(expiresMs) ? new Date(expiresMs).toISOString() : 'never'],
      ]),
    ),
  });
}

function under(path: string, said: readonly (readonly [string, Said])[]): Record<string, Said> {
  return Object.fromEntries(said.map(([key, value]) => [`${path}.${key}`, value]));
}

function ofProvider(provider: IdentityProvider): Words {
  const { issuer, audiences, algorithms, jwks, tenantClaim, tokenType, clockSkewMs } = provider;
  return words({
    issuer,
    audiences,
    algorithms,
    ...('file' in jwks
      ? { 'jwks.file': jwks.file, 'jwks.keys': jwks.text }
      : { 'jwks.url': jwks.url, 'jwks.allowPrivate': jwks.allowPrivate }),
    tenantClaim,
    tokenType,
    clockSkew: `${clockSkewMs}ms`,
  });
}

function ofRoute({ path, methods, cost, isCritical, rate, degradedUpstream, timeoutMs, bodyBytesMax }: Route): Words {
  return words({
    'match.path': path.kind === 'prefix' ? `${path.text}*` : path.text,
    'match.methods': methods && [...methods],
    cost,
    critical: isCritical,
    ...ofRequests(rate),
    'degraded.upstream': degradedUpstream,
    timeout: timeoutMs && `${timeoutMs}ms`,
    bodyMax: bodyBytesMax && `${bodyBytesMax}B`,
  });
}
