/** Asks the admin API of a running sidecar. */
import { get as getHttp, type IncomingMessage } from 'node:http';
import { get as getHttps } from 'node:https';
import { json } from 'node:stream/consumers';
import { nearest, ReeveError } from '../core/index.ts';

/** Where one listens that is told nothing. */
export const ADMIN = 'http://127.0.0.1:15000';
const TIMEOUT_MS = 5000;
const REMEDY = 'start one, or name its admin port with --admin';

interface Answer {
  readonly status: number;
  readonly body: { readonly code?: string; readonly detail?: string };
}

/** The JSON of a page. Throws with the remedy when no sidecar answers, and with the sidecar's own words when it refuses. */
export async function askAdmin<T>(admin: string, path: string): Promise<T> {
  const { status, body } = await ask(urlOf(admin, path), admin);
  if (status !== 200) throw refused({ status, body }, admin);
  return body as T;
}

/** The same; undefined: this sidecar has nothing to say there. */
export async function askAdminIfThere<T>(admin: string, path: string): Promise<T | undefined> {
  const { status, body } = await ask(urlOf(admin, path), admin);
  if (status === 404) return undefined;
  if (status !== 200) throw refused({ status, body }, admin);
  return body as T;
}

/** The status port answers too, and has no such page. */
function refused({ status, body }: Answer, admin: string): ReeveError {
  return new ReeveError('findings', body.detail ?? `the answer was ${status}`, {
    place: admin,
    ...(body.code === 'not-found' ? { remedy: 'name the admin port with --admin; the status port is another' } : {}),
  });
}

/** The page of one tenant; a name that is not there gets the nearest one that is. */
export async function askAboutTenant<T>(admin: string, name: string, path: string): Promise<T> {
  const { status, body } = await ask(urlOf(admin, path), admin);
  if (status === 200) return body as T;
  if (body.code !== 'tenant-unknown') throw refused({ status, body }, admin);
  throw noSuchTenant(
    name,
    (await listTenants(admin)).map((each) => each.name),
  );
}

export function noSuchTenant(name: string, known: readonly string[]): ReeveError {
  const near = nearest(name, known);
  return new ReeveError('findings', `there is no tenant ${JSON.stringify(name)}`, {
    remedy: near === undefined ? '`reeve tenants list` names them' : `did you mean ${near}?`,
  });
}

export interface TenantRow {
  readonly name: string;
  readonly plan: string;
  readonly state: string;
}

export async function listTenants(admin: string): Promise<TenantRow[]> {
  const rows: TenantRow[] = [];
  let after: string | undefined;
  do {
    const from = after === undefined ? '' : `&after=${encodeURIComponent(after)}`;
    const page: { tenants: TenantRow[]; next?: string } = await askAdmin(admin, `/v1/tenants?limit=1000${from}`);
    rows.push(...page.tenants);
    after = page.next;
  } while (after !== undefined);
  return rows;
}

function urlOf(admin: string, path: string): URL {
  const base = URL.parse(admin);
  if (base !== null && ['http:', 'https:'].includes(base.protocol)) return new URL(path, base);
  throw new ReeveError('usage', `expected a URL, got ${JSON.stringify(admin)}`, {
    place: '--admin',
    remedy: 'such as http://127.0.0.1:15000',
  });
}

async function ask(url: URL, admin: string): Promise<Answer> {
  const unreachable = (what: string, cause: unknown): ReeveError =>
    new ReeveError('unreachable', what, { place: admin, remedy: REMEDY, cause });
  let answer: IncomingMessage;
  try {
    answer = await get(url);
  } catch (cause) {
    throw unreachable(`no sidecar answers: ${(cause as NodeJS.ErrnoException).code}`, cause);
  }
  try {
    if (answer.headers['server'] !== 'reeve') throw new Error(`server: ${answer.headers['server']}`);
    return { status: answer.statusCode as number, body: (await json(answer)) as Answer['body'] };
  } catch (cause) {
    answer.destroy();
    throw unreachable('what answers there is no sidecar', cause);
  }
}

/** What Node brings: undici would be half of the time such a command takes. The time covers the whole answer. */
function get(url: URL): Promise<IncomingMessage> {
  const signal = AbortSignal.timeout(TIMEOUT_MS);
  return new Promise((resolve, reject) => {
    (url.protocol === 'https:' ? getHttps : getHttp)(url, { signal }, resolve).on('error', reject);
  });
}
