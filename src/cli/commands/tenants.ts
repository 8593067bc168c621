/** `reeve tenants list|get`: of a running sidecar, or of a directory as a sidecar would read it. */
import { formatFinding, inspectTenancy, type Snapshot } from '../../tenants/index.ts';
import { askAboutTenant, askAdmin, listTenants, noSuchTenant, type TenantRow } from '../ask-admin.ts';
import { type Form, printJson, printRows } from '../output.ts';
import { type LiveConfig, someText } from './check-live-config.ts';
import { requireDirectory } from './config.ts';

interface Asking {
  readonly admin: string;
  readonly output: Form;
  readonly tenancy?: string;
}

export async function list({ admin, output, tenancy }: Asking): Promise<void> {
  const rows = tenancy === undefined ? await listTenants(admin) : rowsOf(await read(tenancy));
  if (output === 'json') printJson({ tenants: rows });
  else
    printRows(
      ['NAME', 'PLAN', 'STATE'],
      rows.map(({ name, plan, state }) => [name, plan, state]),
    );
  if (tenancy === undefined) await tellLeftOut(admin);
}

/** Who stands in the files and is not in force is said, so that a tenant that is missing is no riddle. */
async function tellLeftOut(admin: string): Promise<void> {
  const { leftOut } = await askAdmin<Pick<LiveConfig, 'leftOut'>>(admin, '/v1/config');
  if (leftOut.total > 0)
    process.stderr.write(`reeve: not in force: ${someText(leftOut)} (\`reeve tenants get NAME\` says why)\n`);
}

/** By name, as a sidecar lists them. */
function rowsOf({ tenants }: Snapshot): TenantRow[] {
  return [...tenants.values()]
    .map(({ id, plan, state }) => ({ name: id, plan: plan.name, state }))
    .sort((a, b) => (a.name < b.name ? -1 : 1));
}

export async function get(name: string, { admin, output, tenancy }: Asking): Promise<void> {
  const tenant =
    tenancy === undefined
      ? await askAboutTenant<object>(admin, name, `/v1/tenants/${encodeURIComponent(name)}`)
      : await describe(name, await read(tenancy));
  if (output === 'json') printJson(tenant);
  else
    for (const [key, value] of Object.entries(tenant))
      process.stdout.write(`${key.padEnd(10)} ${typeof value === 'string' ? value : JSON.stringify(value)}\n`);
}

/** What does not load is said, for the same reason. */
async function read(dir: string): Promise<Snapshot> {
  requireDirectory(dir);
  const { snapshot, findings } = await inspectTenancy(dir);
  for (const finding of findings.filter((each) => each.severity === 'error'))
    process.stderr.write(`reeve: not read: ${formatFinding(finding)}\n`);
  return snapshot;
}

async function describe(name: string, { tenants }: Snapshot): Promise<object> {
  const tenant = tenants.get(name);
  if (tenant === undefined) throw noSuchTenant(name, [...tenants.keys()]);
  // Loads the data path, which the other commands do without.
  const { describeTenant } = await import('../../admin/index.ts');
  return describeTenant(tenant);
}
