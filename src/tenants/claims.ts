/**
 * No two tenants share an external id, a host name or a key id: whoever holds one live keeps it. A change that would give one
 * tenant's id to another is refused for the newcomer, never settled by order of files.
 */
import type { Tenant } from './model.ts';

export interface Clash {
  /** `claim "org_1"`, `host "a.example"`, `API key id "k1"`. */
  readonly what: string;
  readonly holder: string;
}

/** Every identity of a tenant as a text of its own name space. */
function identitiesOf(tenant: Tenant): string[] {
  return [
    ...tenant.claims.map((each) => `claim "${each}"`),
    ...tenant.hosts.map((each) => `host "${each}"`),
    ...tenant.apiKeys.map((each) => `API key id "${each.id}"`),
  ];
}

/** Whether two versions of a tenant are recognised by the same. Nearly every change is one of limits, not of identity. */
export function hasSameIdentity(a: Tenant, b: Tenant): boolean {
  return (
    isSame(a.claims, b.claims) &&
    isSame(a.hosts, b.hosts) &&
    a.apiKeys.length === b.apiKeys.length &&
    a.apiKeys.every((key, at) => key.id === b.apiKeys[at]?.id)
  );
}

function isSame(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((each, at) => each === b[at]);
}

export class Claims {
  readonly #holders = new Map<string, string>();

  /**
   * Which of the newcomers must be refused. `changed` holds new versions by name, `previous` the live ones that are replaced
   * or removed. A refused newcomer's old version stays, so its ids are not free for others: judged anew until nothing changes.
   */
  judge(changed: ReadonlyMap<string, Tenant>, previous: ReadonlyMap<string, Tenant>): Map<string, Clash> {
    const refused = new Map<string, Clash>();
    for (;;) {
      const found = this.#judgeOnce(changed, previous, refused);
      if (found.size === 0) return refused;
      for (const [name, clash] of found) refused.set(name, clash);
    }
  }

  #judgeOnce(
    changed: ReadonlyMap<string, Tenant>,
    previous: ReadonlyMap<string, Tenant>,
    refused: ReadonlyMap<string, Clash>,
  ): Map<string, Clash> {
    const overlay = new Map<string, string | undefined>();
    for (const [name, tenant] of previous) {
      if (refused.has(name)) continue;
      for (const identity of identitiesOf(tenant)) overlay.set(identity, undefined);
    }
    const found = new Map<string, Clash>();
    for (const [name, tenant] of changed) {
      if (refused.has(name)) continue;
      for (const identity of identitiesOf(tenant)) {
        const holder = overlay.has(identity) ? overlay.get(identity) : this.#holders.get(identity);
        if (holder === undefined || holder === name) overlay.set(identity, name);
        else if (this.#holders.get(identity) === name && changed.has(holder))
          found.set(holder, { what: identity, holder: name });
        else found.set(name, { what: identity, holder });
      }
    }
    return found;
  }

  release(tenant: Tenant): void {
    for (const identity of identitiesOf(tenant))
      if (this.#holders.get(identity) === tenant.id) this.#holders.delete(identity);
  }

  hold(tenant: Tenant): void {
    for (const identity of identitiesOf(tenant)) this.#holders.set(identity, tenant.id);
  }
}
