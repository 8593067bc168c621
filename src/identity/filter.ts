// hot path
/** How identity stands in the path: two stages, sanitise and identify. */
import type { Exchange, Filter, IdentitySource, Reply, Sanitised, Verdict } from '../pipeline/index.ts';
import type { Snapshot, Tenant } from '../tenants/index.ts';
import { isForgedByTrusted, isProtectedName } from './protected-names.ts';
import type { Detail } from './refusals.ts';
import { replies } from './replies.ts';
import type { Found, Named, Source } from './sources/source.ts';

export interface SanitiseOptions {
  /** Refuse instead of removing. */
  readonly isStrict: boolean;
  readonly isTrustedProxy: (peer: string) => boolean;
  readonly onSpoof: (x: Exchange, removed: number) => void;
}

/** Removes what only the inside may say, on every path, before anything else looks at the request. */
export function sanitiseFilter({
  isStrict,
  isTrustedProxy,
  onSpoof,
}: SanitiseOptions): Filter<Exchange, { sanitised: true }> {
  return {
    name: 'sanitise',
    onThrow: 'deny',
    onRequest(x) {
      x.sanitised = true;
      if (!x.headers.hasSuspect) return undefined;
      const removed = x.headers.removeSuspects(isTrustedProxy(x.peer) ? isForgedByTrusted : isProtectedName);
      if (removed === 0) return undefined;
      onSpoof(x, removed);
      return isStrict ? replies.spoofed : undefined;
    },
    onResponse(_x, head) {
      if (head.headers.hasSuspect) head.headers.removeSuspects(isProtectedName);
    },
  };
}

/** For the operator alone. */
export interface Why {
  readonly detail?: Detail;
  /** Of sources that disagree, whom each names: `jwt: acme, host: globex`. */
  readonly sources?: string;
  /** What a verified credential names and nobody is known by. */
  readonly externalId?: string;
}

export interface IdentifyOptions {
  readonly sources: readonly Source[];
  /** Header names that carry credentials, removed towards the application when it must not see them. */
  readonly credentialHeaders: readonly string[];
  /** Turns a refusal into the answer: counted, audited, and for who proved no tenant limited by peer. */
  readonly onRefusal: (x: Exchange, reply: Reply, proven: Tenant | undefined, why?: Why) => Reply;
}

type Identity = { tenant: Tenant; source: IdentitySource };
const READING: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS']);

/** Finds the one tenant that every source agrees on. */
export function identifyFilter(options: IdentifyOptions): Filter<Sanitised, Identity> {
  // For all that is found at once: each of it is written before it is decided by.
  const found = new Array<Found>(options.sources.length);
  return {
    name: 'identify',
    onThrow: 'deny',
    onRequest(x) {
      const { sources } = options;
      for (let i = 0; i < sources.length; i++) {
        const each = (sources[i] as Source).find(x);
        if (each instanceof Promise) return decideLater(options, x, found.slice(0, i), each);
        found[i] = each;
      }
      return decide(options, x, found);
    },
  };
}

/** `before`: what the sources before the one that is waited for found. */
async function decideLater(
  options: IdentifyOptions,
  x: Exchange,
  before: readonly Found[],
  late: Promise<Found>,
): Promise<Verdict> {
  const behind = options.sources.slice(before.length + 1).map((each) => each.find(x));
  return decide(options, x, [...before, ...(await Promise.all([late, ...behind]))]);
}

function decide(options: IdentifyOptions, x: Exchange, found: readonly Found[]): Verdict {
  // Proofs before hints: a stranger must not learn from the answer which names exist.
  let tenant: Tenant | undefined;
  let proof: IdentitySource | undefined;
  for (let i = 0; i < found.length; i++) {
    const each = found[i] as Found;
    const source = options.sources[i] as Source;
    if (each.kind === 'none' || !source.isProof) continue;
    if (each.kind === 'refused') return options.onRefusal(x, each.reply, undefined, each);
    const named = lookUp(x.snapshot, each);
    if (named === undefined)
      return options.onRefusal(x, replies.unknown, undefined, { detail: 'tenant unknown', externalId: each.id });
    if (tenant !== undefined && tenant !== named) return mismatch(options, x, found);
    tenant = named;
    proof ??= source.name;
  }
  if (tenant === undefined || proof === undefined) return options.onRefusal(x, replies.missing, undefined);
  if (!doHintsAgree(options.sources, x, found, tenant)) return mismatch(options, x, found);
  const reply = replyOfState(tenant, x.method);
  if (reply !== undefined) return options.onRefusal(x, reply, tenant);
  admit(options, x, tenant, proof);
  return undefined;
}

/** A hint that names nobody known disagrees like one that names another: the two answers are one, so that neither tells who exists. */
function doHintsAgree(sources: readonly Source[], x: Exchange, found: readonly Found[], tenant: Tenant): boolean {
  for (let i = 0; i < found.length; i++) {
    const each = found[i] as Found;
    if (each.kind === 'none' || (sources[i] as Source).isProof) continue;
    if (each.kind === 'refused' || lookUp(x.snapshot, each) !== tenant) return false;
  }
  return true;
}

function mismatch(options: IdentifyOptions, x: Exchange, found: readonly Found[]): Reply {
  const sources = found.flatMap((each, at) => {
    if (each.kind === 'none') return [];
    const named = each.kind === 'refused' ? undefined : lookUp(x.snapshot, each)?.id;
    return [`${(options.sources[at] as Source).name}: ${named ?? 'nobody'}`];
  });
  return options.onRefusal(x, replies.mismatch, undefined, { sources: sources.join(', ') });
}

function lookUp(snapshot: Snapshot, named: Named): Tenant | undefined {
  const { last } = named;
  if (last === undefined) return lookUpIn(snapshot, named);
  if (last.generation !== snapshot.generation) {
    last.tenant = lookUpIn(snapshot, named);
    last.generation = snapshot.generation;
  }
  return last.tenant;
}

function lookUpIn(snapshot: Snapshot, { by, id }: Named): Tenant | undefined {
  if (by === 'claim') return snapshot.tenantByClaim.get(id);
  return by === 'host' ? snapshot.tenantByHost.get(id) : snapshot.tenantByApiKeyId.get(id);
}

/** What a verified tenant gets when its state does not let the method pass. */
export function replyOfState(tenant: Pick<Tenant, 'state'>, method: string): Reply | undefined {
  if (tenant.state === 'active') return undefined;
  if (tenant.state === 'readonly') return READING.has(method) ? undefined : replies.readonly;
  return replies[tenant.state];
}

function admit({ credentialHeaders }: IdentifyOptions, x: Exchange, tenant: Tenant, source: IdentitySource): void {
  x.tenant = tenant;
  x.source = source;
  for (const name of credentialHeaders) x.headers.remove(name);
}
