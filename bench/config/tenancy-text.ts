/** 10,000 tenants as YAML text, in one file or in many. */
export const TENANTS = 10_000;

export const PLAN = `apiVersion: reeve.dev/v1
kind: Plan
metadata: { name: pro }
spec:
  rate: { requests: { limit: 200/s, burst: 400 } }
`;

/** One document; `limit` is what a change changes. */
export function tenantText(index: number, limit: number): string {
  return `---
apiVersion: reeve.dev/v1
kind: Tenant
metadata: { name: t${index} }
spec:
  plan: pro
  overrides: { rate: { requests: { limit: ${limit}/s } } }
  identity: { claims: [ org_${index} ], hosts: [ t${index}.app.example ] }
`;
}

/** Tenants `from` to `to`; `odd` has `oddLimit` instead. */
export function fileText(from: number, to: number, limit: number, odd = -1, oddLimit = limit): string {
  let text = '';
  for (let i = from; i < to; i++) text += tenantText(i, i === odd ? oddLimit : limit);
  return text;
}
