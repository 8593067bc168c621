/**
 * What HTTP lets a shared cache keep, and give again (RFC 9111). Pure rules over heads; where the answers are kept, and when one is
 * given, is for others to say.
 *
 *   answer ─ lifeOf ─▶ Life { fresh for, stale for } ─ mayAnswer ─▶ at this age, for this request?
 *
 * Narrower than it might be where being wrong would show one user what is another's: an unknown status, a field that varies with the user
 * and everything with Set-Cookie is not kept.
 */
import { Directives } from './cache-control.ts';
import { isToken, listMembers } from './grammar.ts';
import type { Headers } from './headers.ts';

/** How long an answer may be given again, in seconds of its age. */
export interface Life {
  readonly freshSec: number;
  /** Beyond that, when somebody lets stale answers be given: 0 where the answer forbids it, Infinity where it says nothing. */
  readonly staleSec: number;
}

/** Whole by themselves, and such that RFC 9110 §15.1 lets them be kept without being told so. */
const KEPT_STATUSES: ReadonlySet<number> = new Set([200, 203, 300, 301, 308, 404, 410]);

/** `isPersonal`: the request says who its user is (RFC 9111 §3.5). Undefined: it must not be kept, or would be of no use. */
export function lifeOf(status: number, headers: Headers, isPersonal: boolean): Life | undefined {
  if (!KEPT_STATUSES.has(status) || headers.has('set-cookie') || headers.has('content-range')) return undefined;
  const says = new Directives(headers);
  if (says.has('no-store') || says.has('private') || says.has('no-cache')) return undefined;
  // What Cache-Control was before there was one, and is still written instead of it.
  if (says.isEmpty && listMembers(headers.all('pragma')).includes('no-cache')) return undefined;
  const isShared = says.has('public') || says.has('s-maxage') || says.has('must-revalidate');
  if (isPersonal && !isShared) return undefined;
  const life = { freshSec: freshSecOf(headers, says), staleSec: staleSecOf(says) };
  return life.freshSec > 0 || life.staleSec > 0 ? life : undefined;
}

/** RFC 9111 §4.2.1, without a guess where nothing is said: then it is stale from the beginning. */
function freshSecOf(headers: Headers, says: Directives): number {
  const told = says.seconds('s-maxage') ?? says.seconds('max-age');
  if (told !== undefined) return told;
  const expires = headers.only('expires');
  if (typeof expires !== 'string') return 0;
  const date = Date.parse(headers.first('date') ?? '');
  // What is no date is past (RFC 9111 §5.3).
  return Math.max(0, (Date.parse(expires) - date) / 1000) || 0;
}

/** RFC 9111 §4.2.4; the windows are those of RFC 5861. */
function staleSecOf(says: Directives): number {
  if (says.has('must-revalidate') || says.has('proxy-revalidate') || says.has('s-maxage')) return 0;
  const whileRevalidating = says.seconds('stale-while-revalidate');
  const ifError = says.seconds('stale-if-error');
  if (whileRevalidating === undefined && ifError === undefined) return Number.POSITIVE_INFINITY;
  return Math.max(whileRevalidating ?? 0, ifError ?? 0);
}

/** How old it was when it came, seconds (RFC 9111 §4.2.3). `delaySec`: since it was asked for. */
export function ageOf(headers: Headers, wallMs: number, delaySec: number): number {
  const apparent = (wallMs - Date.parse(headers.first('date') ?? '')) / 1000;
  const age = headers.first('age') ?? '';
  const corrected = (/^\d+$/.test(age) ? Number(age) : 0) + delaySec;
  return Math.max(corrected, apparent || 0);
}

/** Fields that ask for something else than the whole answer of now, in ways that only the application can judge. */
const BEYOND = ['range', 'if-range', 'if-match', 'if-unmodified-since'] as const;

/** What a request asks of an answer that was kept. */
export class CacheWish {
  readonly #isOpen: boolean;
  readonly #ageSecMax: number;
  readonly #staleSecMax: number;
  readonly #freshSecMin: number;

  constructor(method: string, headers: Headers) {
    const wants = new Directives(headers);
    const isPragma = wants.isEmpty && listMembers(headers.all('pragma')).includes('no-cache');
    this.#isOpen =
      (method === 'GET' || method === 'HEAD') &&
      !wants.has('no-cache') &&
      !isPragma &&
      !BEYOND.some((name) => headers.has(name));
    this.#ageSecMax = wants.seconds('max-age') ?? Number.POSITIVE_INFINITY;
    this.#staleSecMax = wants.isBare('max-stale')
      ? Number.POSITIVE_INFINITY
      : (wants.seconds('max-stale') ?? Number.POSITIVE_INFINITY);
    this.#freshSecMin = wants.seconds('min-fresh') ?? Number.NEGATIVE_INFINITY;
  }

  /** `staleSecMax`: how stale an answer whoever asks us to give one lets it be. */
  accepts({ freshSec, staleSec }: Life, ageSec: number, staleSecMax: number): boolean {
    if (!this.#isOpen || ageSec > this.#ageSecMax || freshSec - ageSec < this.#freshSecMin) return false;
    const mostSec = Math.min(staleSec, staleSecMax, this.#staleSecMax);
    return ageSec < freshSec || (mostSec > 0 && ageSec - freshSec <= mostSec);
  }
}

/** Whether the request lets its answer be kept at all. */
export function mayKeepFor(method: string, headers: Headers): boolean {
  return method === 'GET' && !headers.has('range') && !new Directives(headers).has('no-store');
}

/**
 * Never the same twice, or not the same here as at the application, or about the user: what varies with one of these is kept for nobody.
 * Those of ours that say how the tenant is doing are among them.
 */
const UNKEPT_VARIATIONS: ReadonlySet<string> = new Set([
  'authorization',
  'cookie',
  'x-api-key',
  'proxy-authorization',
  'traceparent',
  'tracestate',
  'baggage',
  'x-request-id',
  'via',
  'te',
  'x-forwarded-for',
  'x-real-ip',
  'x-tenant-degrade',
  'x-tenant-priority',
  'x-tenant-quota-state',
]);

/** Of the address a request was sent to, as far as proxies before us tell it: with each, it is another answer. */
export const PLACE_FIELDS = [
  'forwarded',
  'x-forwarded-proto',
  'x-forwarded-host',
  'x-forwarded-port',
  'x-forwarded-prefix',
] as const;

/** A part of the place anyhow, or of the tenant. */
const KNOWN_VARIATIONS: ReadonlySet<string> = new Set(['host', 'x-tenant-id', 'x-tenant-plan', ...PLACE_FIELDS]);

/** The names of request fields that the answer was chosen by (RFC 9111 §4.1); undefined when nobody else may have it. */
export function variationsOf(headers: Headers): readonly string[] | undefined {
  if (!headers.has('vary')) return NONE;
  const names = listMembers(headers.all('vary'));
  if (names.some((name) => !isToken(name) || name === '*' || UNKEPT_VARIATIONS.has(name))) return undefined;
  return [...new Set(names)].filter((name) => !KNOWN_VARIATIONS.has(name)).sort();
}

const NONE: readonly string[] = [];

/** RFC 9110 §13.1.2 and §13.1.3: the client has what was kept; a 304 will do. */
export function isUnchanged(request: Headers, kept: Headers): boolean {
  if (request.has('if-none-match')) {
    const tag = opaque(kept.only('etag') ?? '');
    const sought = request.all('if-none-match').join(',').match(ENTITY_TAGS) ?? [];
    return sought.some((each) => each === '*' || opaque(each) === tag);
  }
  const since = request.only('if-modified-since');
  const modified = kept.only('last-modified');
  return typeof since === 'string' && typeof modified === 'string' && Date.parse(modified) <= Date.parse(since);
}

const ENTITY_TAGS = /(?:W\/)?"[^"]*"|\*/g;

/** Weak comparison (RFC 9110 §8.8.3.2). */
function opaque(tag: string): string {
  return tag.startsWith('W/') ? tag.slice(2) : tag;
}

/** What a 304 says of the answer it stands for (RFC 9110 §15.4.5). */
export const FIELDS_OF_304: ReadonlySet<string> = new Set([
  'cache-control',
  'content-location',
  'date',
  'etag',
  'expires',
  'vary',
]);
