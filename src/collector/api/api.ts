/**
 * The HTTP API of the collector, as answers to requests: who listens is wired elsewhere. One table says what there is; requests are checked
 * against it, and the OpenAPI document is made of it.
 */
import { createHash, timingSafeEqual } from 'node:crypto';
import { nearest, ReeveError } from '../../core/index.ts';
import {
  type ApiAnswer,
  type ApiOptions,
  type ApiRequest,
  jsonAnswer,
  problemAnswer,
  type ReadToken,
} from './answer.ts';
import { Mistake } from './asked.ts';
import { openapi } from './openapi.ts';
import { pages } from './pages.ts';

export async function answerApi(o: ApiOptions, request: ApiRequest): Promise<ApiAnswer> {
  const { pathname, searchParams } = request.url;
  const scope = scopeOf(o.tokens(), request.authorization);
  if (scope === undefined)
    return {
      ...problemAnswer(401, 'credential-missing', 'A token of this collector is needed.'),
      headers: { 'www-authenticate': 'Bearer' },
    };
  if (pathname === '/v1/openapi.json') return jsonAnswer(openapi(o.version));
  const here = pages.flatMap((page) => {
    const path = match(page.path, pathname);
    return path === undefined ? [] : [{ page, path }];
  });
  const found = here.find(
    ({ page }) => page.method === request.method || (page.method === 'GET' && request.method === 'HEAD'),
  );
  if (here.length > 0 && found === undefined)
    return {
      ...problemAnswer(405, 'method-not-allowed', `Use ${here[0]?.page.method}.`),
      headers: { allow: here.map(({ page }) => page.method).join(', ') },
    };
  if (found === undefined)
    return problemAnswer(
      404,
      'not-found',
      `There is no such page; ${[...new Set(pages.map(({ path }) => path))].join(' ')} /v1/openapi.json`,
    );
  const { page, path } = found;
  if (scope.tenant !== undefined && !page.isForTenants)
    return problemAnswer(403, 'not-yours', 'This token may read the usage of one tenant, at /v1/usage.');
  if (scope.tenant !== undefined) {
    if ((searchParams.get('tenant') ?? scope.tenant) !== scope.tenant)
      return problemAnswer(403, 'not-yours', 'This token is of another tenant.');
    searchParams.set('tenant', scope.tenant);
  }
  try {
    refuseUnknown(searchParams, Object.keys(page.parameters));
    return await page.run({ ...o, query: searchParams, path, accept: request.accept, tenant: scope.tenant });
  } catch (cause) {
    if (cause instanceof Mistake) return problemAnswer(400, 'bad-parameter', sentence(cause));
    if (cause instanceof ReeveError) return problemAnswer(STATUS[cause.code] ?? 500, cause.code, String(cause));
    throw cause;
  }
}

/** With one mark at its end. */
function sentence({ parameter, message }: Mistake): string {
  return `${parameter}: ${message}${message.endsWith('?') ? '' : '.'}`;
}

/** Of errors that a page may end with. */
const STATUS: Readonly<Record<string, number>> = {
  busy: 503,
  'spool-unknown': 404,
  'spool-live': 409,
  'ledger-refuses': 503,
};

function refuseUnknown(query: URLSearchParams, known: readonly string[]): void {
  for (const name of query.keys()) {
    if (known.includes(name)) {
      if (query.getAll(name).length > 1) throw new Mistake(name, 'it is given twice');
      continue;
    }
    const near = nearest(name, known);
    throw new Mistake(
      name,
      `there is no such parameter${near === undefined ? `; there are ${known.join(', ')}` : `; did you mean ${near}?`}`,
    );
  }
}

/** `{name}` in a path stands for a segment. */
function match(template: string, pathname: string): Record<string, string> | undefined {
  const asked = pathname.split('/');
  const segments = template.split('/');
  if (asked.length !== segments.length) return undefined;
  const values: Record<string, string> = {};
  for (let i = 0; i < segments.length; i++) {
    const name = /^\{(\w+)\}$/.exec(segments[i] as string)?.[1];
    if (name !== undefined) values[name] = asked[i] as string;
    else if (segments[i] !== asked[i]) return undefined;
  }
  return values;
}

/** Whether who asks may read what every tenant used. */
export function mayReadAll(tokens: readonly ReadToken[], authorization: string | undefined): boolean {
  const scope = scopeOf(tokens, authorization);
  return scope !== undefined && scope.tenant === undefined;
}

/** Undefined: who asks may read nothing. Compared as sums, all of them, in the same time wherever they differ. */
function scopeOf(
  tokens: readonly ReadToken[],
  authorization: string | undefined,
): { readonly tenant: string | undefined } | undefined {
  if (tokens.length === 0) return { tenant: undefined };
  const sum = (text: string): Buffer => createHash('sha256').update(text).digest();
  const given = sum(authorization ?? '');
  const [fits] = tokens.filter(({ token }) => timingSafeEqual(sum(`Bearer ${token}`), given));
  return fits;
}
