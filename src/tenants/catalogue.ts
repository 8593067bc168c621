/**
 * The live objects, and how the files of one moment change them. Atomic per object: what is good is taken, what is broken stays
 * on its last good version, and nothing is committed before everything is judged.
 *
 *   files ─▶ gather ─▶ removals (grace, guard) ─▶ plans ─▶ tenants (claims judged) ─▶ providers, routes ─▶ Snapshot
 */
import type { MonotonicMs, TenantIndex } from '../core/index.ts';
import { Claims, hasSameIdentity } from './claims.ts';
import {
  compilePlan,
  compileProvider,
  compileRoute,
  compileTenant,
  type Objection,
  objectToPlan,
  objectToProvider,
  objectToRoute,
  objectToTenant,
  sortRoutes,
} from './compile.ts';
import { type Desired, findingAt, gather, keyOf, type LiveObject, type LoadedFile, type Wanted } from './desired.ts';
import { nextLookups } from './lookups.ts';
import {
  emptySnapshot,
  type Finding,
  type IdentityProvider,
  type Plan,
  type Route,
  type Snapshot,
  type Tenant,
} from './model.ts';
import type { Pace } from './pace.ts';
import { placeProblem } from './parse.ts';
import { judgeRemovals, type RemovalRules } from './removals.ts';
import type { IdentityProviderDocument, PlanDocument, RouteDocument, TenantDocument } from './schema.ts';
import { Slots } from './slots.ts';

export interface Update {
  readonly snapshot: Snapshot;
  readonly findings: readonly Finding[];
  /** Objects added, changed or removed. */
  readonly changed: number;
  /** Objects of vanished files live on until then. */
  readonly nextRemovalAt: MonotonicMs | undefined;
}

interface Draft {
  readonly desired: Desired;
  readonly keyFiles: ReadonlyMap<string, string>;
  readonly findings: Finding[];
  readonly plans: Map<string, Plan>;
  readonly tenants: Map<string, Tenant>;
  readonly providers: Map<string, IdentityProvider>;
  readonly routes: Map<string, Route>;
  readonly live: Map<string, LiveObject>;
  /** Tenants whose compiled object differs from the live one, or is gone. */
  readonly touched: Set<string>;
  changed: number;
}

export class Catalogue {
  #snapshot: Snapshot = emptySnapshot;
  #live: ReadonlyMap<string, LiveObject> = new Map();
  #routes: ReadonlyMap<string, Route> = new Map();
  readonly #slots = { tenants: new Slots(), plans: new Slots(), routes: new Slots() };
  readonly #claims = new Claims();
  /** When a file was first seen missing. */
  readonly #missingSince = new Map<string, MonotonicMs>();
  readonly #objections = new WeakMap<object, readonly Objection[]>();

  get snapshot(): Snapshot {
    return this.#snapshot;
  }

  get live(): ReadonlyMap<string, LiveObject> {
    return this.#live;
  }

  /** One update at a time: the caller sees to that. */
  async update(files: readonly LoadedFile[], rules: RemovalRules, pace: Pace): Promise<Update> {
    const documents = files.filter((file) => !file.path.endsWith('.json'));
    const keyFiles = new Map(files.filter((file) => file.path.endsWith('.json')).map((file) => [file.path, file.text]));
    const desired = await gather(documents, (key) => this.#live.get(key)?.file, pace);
    const draft = await this.#draft(desired, keyFiles, pace);
    const present = new Set(documents.map((file) => file.path));
    const removals = await judgeRemovals({
      live: this.#live,
      desired,
      present,
      missingSince: this.#missingSince,
      tenantCount: this.#snapshot.tenants.size,
      rules,
      pace,
    });
    draft.findings.push(...removals.findings);
    this.#plans(draft, removals.removed);
    await this.#tenants(draft, removals.removed, pace);
    this.#providers(draft, removals.removed);
    this.#routesOf(draft, removals.removed);
    if (draft.changed > 0) await this.#commit(draft, pace);
    return {
      snapshot: this.#snapshot,
      findings: draft.findings,
      changed: draft.changed,
      nextRemovalAt: removals.nextAt,
    };
  }

  /** Copies of what is live. A copy of 10,000 entries takes about half a millisecond and cannot be cut. */
  async #draft(desired: Desired, keyFiles: ReadonlyMap<string, string>, pace: Pace): Promise<Draft> {
    const { plans, tenants, providers } = this.#snapshot;
    await pace.turn();
    const live = new Map(this.#live);
    await pace.turn();
    const draftTenants = new Map(tenants);
    await pace.turn();
    return {
      desired,
      keyFiles,
      findings: desired.findings,
      changed: 0,
      live,
      touched: new Set(),
      tenants: draftTenants,
      plans: new Map(plans),
      providers: new Map(providers),
      routes: new Map(this.#routes),
    };
  }

  /** Objects of an earlier process, taken as they are: their documents were good then. */
  async restore(
    objects: readonly { key: string; live: LiveObject }[],
    keyFiles: readonly LoadedFile[],
    rules: RemovalRules,
    pace: Pace,
  ): Promise<Update> {
    const byFile = new Map<
      string,
      LoadedFile & {
        documents: {
          text: string;
          offset: number;
          parsed: { isGood: true; kind: never; name: string; json: string };
        }[];
      }
    >();
    for (const { key, live } of objects) {
      const file = byFile.get(live.file) ?? { path: live.file, text: '', documents: [] };
      byFile.set(live.file, file);
      const at = key.indexOf('/');
      file.documents.push({
        text: '',
        offset: 0,
        parsed: { isGood: true, kind: key.slice(0, at) as never, name: key.slice(at + 1), json: live.json },
      });
    }
    return this.update([...byFile.values(), ...keyFiles], rules, pace);
  }

  #plans(draft: Draft, removed: ReadonlySet<string>): void {
    for (const wanted of of(draft, 'Plan')) {
      if (!this.#isChanged(draft, wanted, objectToPlan)) continue;
      draft.plans.set(wanted.name, compilePlan(documentOf<PlanDocument>(wanted), this.#slots.plans.of(wanted.name)));
      take(draft, wanted);
    }
    for (const name of namesOf(removed, 'Plan')) {
      const isUsed = draft.desired.byKind.Tenant.some(
        (wanted) => documentOf<TenantDocument>(wanted).spec.plan === name,
      );
      if (isUsed)
        draft.findings.push(
          plainFinding(
            draft.live.get(keyOf('Plan', name))?.file,
            'Plan',
            name,
            'was removed while tenants use it; its last version stays',
            'move the tenants to another plan first',
          ),
        );
      else drop(draft, 'Plan', name, draft.plans);
    }
  }

  async #tenants(draft: Draft, removed: ReadonlySet<string>, pace: Pace): Promise<void> {
    const changed = new Map<string, Tenant>();
    const previous = new Map<string, Tenant>();
    const wants = new Map<string, Wanted>();
    for (const wanted of draft.desired.byKind.Tenant) {
      const slice = pace();
      if (slice !== undefined) await slice;
      const next = this.#nextTenant(draft, wanted);
      if (next === undefined) continue;
      changed.set(wanted.name, next);
      wants.set(wanted.name, wanted);
      const before = this.#snapshot.tenants.get(wanted.name);
      if (before !== undefined) previous.set(wanted.name, before);
    }
    // Tenants without a document of today (kept, in grace) follow a changed plan as well.
    const isPlanChanged = [...draft.plans].some(([name, plan]) => this.#snapshot.plans.get(name) !== plan);
    for (const tenant of isPlanChanged ? this.#snapshot.tenants.values() : []) {
      const slice = pace();
      if (slice !== undefined) await slice;
      const plan = draft.plans.get(tenant.plan.name);
      const live = this.#live.get(keyOf('Tenant', tenant.id));
      if (
        plan === tenant.plan ||
        plan === undefined ||
        live === undefined ||
        draft.desired.wanted.has(keyOf('Tenant', tenant.id))
      )
        continue;
      draft.tenants.set(
        tenant.id,
        compileTenant(documentOf<TenantDocument>(live), { plan, index: tenant.index, file: live.file }),
      );
      draft.touched.add(tenant.id);
      draft.changed++;
    }
    for (const name of namesOf(removed, 'Tenant')) {
      previous.set(name, this.#snapshot.tenants.get(name) as Tenant);
      draft.touched.add(name);
      drop(draft, 'Tenant', name, draft.tenants);
    }
    for (const [name, { what, holder }] of this.#claims.judge(...withNewIdentity(changed, previous))) {
      const wanted = wants.get(name) as Wanted;
      changed.delete(name);
      if (!this.#snapshot.tenants.has(name)) this.#slots.tenants.release(name);
      this.#refuse(draft, wanted, {
        severity: 'error',
        path: ['spec', 'identity'],
        message: `${what} belongs to tenant "${holder}"`,
        remedy: 'remove it from one of the two',
      });
    }
    for (const [name, tenant] of changed) {
      const slice = pace();
      if (slice !== undefined) await slice;
      draft.tenants.set(name, tenant);
      draft.touched.add(name);
      take(draft, wants.get(name) as Wanted);
    }
  }

  /** The compiled tenant when its document or its plan changed and it is good; undefined otherwise. */
  #nextTenant(draft: Draft, wanted: Wanted): Tenant | undefined {
    const before = this.#snapshot.tenants.get(wanted.name);
    const isSame =
      before !== undefined &&
      this.#live.get(keyOf('Tenant', wanted.name))?.json === wanted.json &&
      before.plan === draft.plans.get(before.plan.name) &&
      before.source === wanted.file.path;
    if (!this.#isGood(draft, wanted, objectToTenant) || isSame) return undefined;
    const document = documentOf<TenantDocument>(wanted);
    const plan = draft.plans.get(document.spec.plan);
    if (plan === undefined) {
      this.#refuse(draft, wanted, {
        severity: 'error',
        path: ['spec', 'plan'],
        message: `there is no Plan "${document.spec.plan}"`,
        remedy: `known: ${[...draft.plans.keys()].slice(0, 10).join(', ') || 'none'}`,
      });
      return undefined;
    }
    return compileTenant(document, {
      plan,
      index: this.#slots.tenants.of(wanted.name) as TenantIndex,
      file: wanted.file.path,
    });
  }

  #providers(draft: Draft, removed: ReadonlySet<string>): void {
    for (const wanted of of(draft, 'IdentityProvider')) {
      const document = documentOf<IdentityProviderDocument>(wanted);
      const jwks = this.#keySource(draft, wanted);
      if (!this.#isGood(draft, wanted, objectToProvider) || jwks === undefined) continue;
      const before = draft.providers.get(wanted.name);
      const isSameKeys =
        before !== undefined &&
        ('text' in before.jwks && 'text' in jwks
          ? before.jwks.text === jwks.text && before.jwks.file === jwks.file
          : !('text' in before.jwks) && !('text' in jwks));
      if (isSameKeys && this.#live.get(keyOf('IdentityProvider', wanted.name))?.json === wanted.json) continue;
      draft.providers.set(wanted.name, compileProvider(document, jwks));
      take(draft, wanted);
    }
    for (const name of namesOf(removed, 'IdentityProvider')) drop(draft, 'IdentityProvider', name, draft.providers);
  }

  #keySource(draft: Draft, wanted: Wanted): IdentityProvider['jwks'] | undefined {
    const { jwks } = documentOf<IdentityProviderDocument>(wanted).spec;
    if ('url' in jwks) return { url: jwks.url, allowPrivate: jwks.allowPrivate ?? false };
    const file = jwks.file.replace(/^\.\//, '');
    const text = draft.keyFiles.get(file);
    const message =
      text === undefined
        ? `there is no key file ${JSON.stringify(jwks.file)} in the tenancy directory`
        : objectToKeySet(text);
    if (message === undefined) return { file, text: text as string };
    this.#refuse(draft, wanted, {
      severity: 'error',
      path: ['spec', 'jwks', 'file'],
      message,
      remedy: 'put a JWK set {"keys": […]} beside the documents, in a file named *.json',
    });
    return undefined;
  }

  #routesOf(draft: Draft, removed: ReadonlySet<string>): void {
    for (const wanted of of(draft, 'Route')) {
      if (!this.#isChanged(draft, wanted, objectToRoute)) continue;
      const route = compileRoute(documentOf<RouteDocument>(wanted), this.#slots.routes.of(wanted.name));
      const twin = [...draft.routes.values()].find(
        (each) => each.name !== route.name && !removed.has(keyOf('Route', each.name)) && isSameMatch(each, route),
      );
      if (twin !== undefined) {
        this.#refuse(draft, wanted, {
          severity: 'error',
          path: ['spec', 'match'],
          message: `Route "${twin.name}" has the same match`,
          remedy: 'merge the two',
        });
        continue;
      }
      draft.routes.set(wanted.name, route);
      take(draft, wanted);
    }
    for (const name of namesOf(removed, 'Route')) drop(draft, 'Route', name, draft.routes);
  }

  /** Good, and another document than the live one. */
  #isChanged<D>(draft: Draft, wanted: Wanted, objections: (document: D) => readonly Objection[]): boolean {
    const live = this.#live.get(keyOf(wanted.kind, wanted.name));
    return this.#isGood(draft, wanted, objections) && (live?.json !== wanted.json || live?.file !== wanted.file.path);
  }

  /** Whether the document means something sound. Judged once a parsed document; said again in every update, so that findings stay. */
  #isGood<D>(draft: Draft, wanted: Wanted, objectTo: (document: D) => readonly Objection[]): boolean {
    const { parsed } = wanted.loaded;
    let objections = this.#objections.get(parsed);
    if (objections === undefined) {
      objections = objectTo(documentOf<D>(wanted));
      this.#objections.set(parsed, objections);
    }
    for (const objection of objections) this.#refuse(draft, wanted, objection);
    return !objections.some((each) => each.severity === 'error');
  }

  #refuse(draft: Draft, wanted: Wanted, objection: Objection): void {
    const placed = placeProblem(wanted.loaded.text, { ...objection, isKey: false });
    draft.findings.push(
      findingAt(
        wanted.file,
        wanted.loaded,
        { severity: objection.severity, kind: wanted.kind, name: wanted.name },
        placed,
      ),
    );
  }

  async #commit(draft: Draft, pace: Pace): Promise<void> {
    const before = this.#snapshot;
    const gone: Tenant[] = [];
    const come: Tenant[] = [];
    for (const name of draft.touched) {
      const slice = pace();
      if (slice !== undefined) await slice;
      const [old, tenant] = [before.tenants.get(name), draft.tenants.get(name)];
      if (old !== undefined) gone.push(old);
      if (tenant !== undefined) come.push(tenant);
      if (old !== undefined && tenant === undefined) this.#slots.tenants.release(name);
      if (old !== undefined && tenant !== undefined && hasSameIdentity(old, tenant)) continue;
      if (old !== undefined) this.#claims.release(old);
    }
    for (const tenant of come) {
      const old = before.tenants.get(tenant.id);
      if (old === undefined || !hasSameIdentity(old, tenant)) this.#claims.hold(tenant);
    }
    const lookups = draft.touched.size === 0 ? before : await nextLookups(before, gone, come, pace);
    const { tenantByClaim, tenantByHost, tenantByApiKeyId } = lookups;
    const { plans, tenants, providers } = draft;
    this.#live = draft.live;
    this.#routes = draft.routes;
    const routes = sortRoutes(draft.routes.values());
    const generation = before.generation + 1;
    this.#snapshot = {
      generation,
      plans,
      tenants,
      providers,
      routes,
      tenantByClaim,
      tenantByHost,
      tenantByApiKeyId,
      tenantSlots: this.#slots.tenants.length,
    };
  }
}

/** The part of a change that moves identities: new tenants, gone ones, and those whose ids differ. */
function withNewIdentity(
  changed: ReadonlyMap<string, Tenant>,
  previous: ReadonlyMap<string, Tenant>,
): [Map<string, Tenant>, Map<string, Tenant>] {
  const isMoved = (name: string): boolean => {
    const [before, after] = [previous.get(name), changed.get(name)];
    return before === undefined || after === undefined || !hasSameIdentity(before, after);
  };
  return [
    new Map([...changed].filter(([name]) => isMoved(name))),
    new Map([...previous].filter(([name]) => isMoved(name))),
  ];
}

/** A fresh object each time: what is compiled from it is kept, it is not. */
function documentOf<D>({ json }: { readonly json: string }): D {
  return JSON.parse(json) as D;
}

function of(draft: Draft, kind: Wanted['kind']): readonly Wanted[] {
  return draft.desired.byKind[kind];
}

function* namesOf(keys: ReadonlySet<string>, kind: string): Generator<string> {
  for (const key of keys) if (key.startsWith(`${kind}/`)) yield key.slice(kind.length + 1);
}

function take(draft: Draft, wanted: Wanted): void {
  draft.live.set(keyOf(wanted.kind, wanted.name), { json: wanted.json, file: wanted.file.path });
  draft.changed++;
}

function drop(draft: Draft, kind: string, name: string, objects: Map<string, unknown>): void {
  objects.delete(name);
  draft.live.delete(keyOf(kind, name));
  draft.changed++;
}

function isSameMatch(a: Route, b: Route): boolean {
  const methods = (route: Route) => [...(route.methods ?? [])].sort().join(' ');
  return a.path.kind === b.path.kind && a.path.text === b.path.text && methods(a) === methods(b);
}

function plainFinding(file: string | undefined, kind: string, name: string, message: string, remedy: string): Finding {
  return { severity: 'error', file: file ?? '', line: 0, column: 0, kind, name, path: '', message, remedy };
}

/** What is wrong with a key set's text, or undefined. The keys themselves are judged by who uses them. */
function objectToKeySet(text: string): string | undefined {
  try {
    const { keys } = JSON.parse(text) as { keys?: unknown };
    return Array.isArray(keys) && keys.length <= 100 ? undefined : 'the key file is not a JWK set of at most 100 keys';
  } catch {
    return 'the key file is not JSON';
  }
}
