/** `reeve tenants list|get` and `reeve limits check`. */
import { ReeveError } from '../../core/index.ts';
import type { LimitsExplanation } from '../../limits/index.ts';
import { formatFinding, inspectTenancy } from '../../tenants/index.ts';
import { askAdmin } from '../ask-admin.ts';
import { table } from '../table.ts';

interface Asking {
  readonly admin: string;
  readonly output: 'text' | 'json';
}

interface Row {
  readonly name: string;
  readonly plan: string;
  readonly state: string;
}

export async function list({ admin, output, tenancy }: Asking & { tenancy?: string }): Promise<void> {
  const rows = tenancy === undefined ? await listLive(admin) : await listDirectory(tenancy);
  if (output === 'json') process.stdout.write(`${JSON.stringify({ tenants: rows }, null, 2)}\n`);
  else
    process.stdout.write(
      table(
        ['NAME', 'PLAN', 'STATE'],
        rows.map(({ name, plan, state }) => [name, plan, state]),
      ),
    );
}

async function listLive(admin: string): Promise<Row[]> {
  const rows: Row[] = [];
  let after: string | undefined;
  do {
    const page: { tenants: Row[]; next?: string } = await askAdmin(
      admin,
      `/v1/tenants?limit=1000${after === undefined ? '' : `&after=${after}`}`,
    );
    rows.push(...page.tenants);
    after = page.next;
  } while (after !== undefined);
  return rows;
}

async function listDirectory(dir: string): Promise<Row[]> {
  const { snapshot, findings, files } = await inspectTenancy(dir);
  if (files === 0 && findings[0] !== undefined) throw new ReeveError('usage', formatFinding(findings[0]));
  return [...snapshot.tenants.values()].map((tenant) => ({
    name: tenant.id,
    plan: tenant.plan.name,
    state: tenant.state,
  }));
}

export async function get(name: string, { admin, output }: Asking): Promise<void> {
  const tenant = await askAdmin<Record<string, unknown>>(admin, `/v1/tenants/${encodeURIComponent(name)}`);
  if (output === 'json') process.stdout.write(`${JSON.stringify(tenant, null, 2)}\n`);
  else
    for (const [key, value] of Object.entries(tenant))
      process.stdout.write(`${key.padEnd(10)} ${typeof value === 'string' ? value : JSON.stringify(value)}\n`);
}

export async function checkLimits(
  name: string,
  { admin, output, method, path }: Asking & { method: string; path: string },
): Promise<void> {
  const explanation = await askAdmin<LimitsExplanation>(
    admin,
    `/v1/limits/${encodeURIComponent(name)}?method=${encodeURIComponent(method)}&path=${encodeURIComponent(path)}`,
  );
  if (output === 'json') {
    process.stdout.write(`${JSON.stringify(explanation, null, 2)}\n`);
    return;
  }
  const { requests, egress, concurrency, wouldGet, route } = explanation;
  const lines = [
    `tenant       ${explanation.tenant} (plan ${explanation.plan}${explanation.shadow ? ', in shadow' : ''})`,
    `requests     ${requests === undefined ? 'no limit' : `${requests.limit}, ${requests.left} of ${requests.burst} left, ${requests.credit} in credit`}`,
    `egress       ${egress?.limit ?? 'no limit'}`,
    `concurrency  ${concurrency.inFlight} of ${concurrency.limit ?? 'no limit'}, ${explanation.waiting} waiting`,
    `ladder       ${explanation.ladder.join(' → ')}${explanation.isOverLong ? ' (over its limit for a while)' : ''}`,
    `route        ${route === undefined ? 'none' : `${route.name}, cost ${route.cost}${route.limit === undefined ? '' : `, ${route.limit}`}${route.critical ? ', critical' : ''}`}`,
    `${method} ${path} would get: ${wouldGet.decision}, ${wouldGet.because}${wouldGet.waitMs > 0 ? ` (${wouldGet.waitMs} ms)` : ''}`,
  ];
  process.stdout.write(`${lines.join('\n')}\n`);
}
