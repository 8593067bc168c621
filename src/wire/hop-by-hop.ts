// hot path
/** Fields that are about one connection and never go further (RFC 9110 §7.6.1), in both directions, upgrades too. */
import { foldName, isToken, listMembers } from './grammar.ts';
import type { HeaderList } from './header-list.ts';

export const HOP_BY_HOP_NAMES = [
  'connection',
  'keep-alive',
  'proxy-connection',
  'proxy-authenticate',
  'proxy-authorization',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'http2-settings',
] as const;

const HOP_BY_HOP: ReadonlySet<string> = new Set(HOP_BY_HOP_NAMES);

/**
 * Names a `Connection` field must not nominate: the next hop would delete what the message depends on. Framing, routing, tracing,
 * credentials; protected tenant names come by the caller's predicate.
 */
const NEVER_NOMINATED: ReadonlySet<string> = new Set([
  'content-length',
  'content-type',
  'content-encoding',
  'host',
  'authorization',
  'cookie',
  'expect',
  'date',
  'traceparent',
  'tracestate',
  'baggage',
  'x-request-id',
  'forwarded',
  'via',
  'cache-control',
  'origin',
]);

/** The name a client may not nominate although it did, or undefined. */
export function forbiddenNomination(headers: HeaderList, isProtected: (name: string) => boolean): string | undefined {
  if (!headers.has('connection')) return undefined;
  for (const member of listMembers(headers.all('connection'))) {
    const folded = foldName(member);
    const isForwarding = folded.startsWith('x-forwarded-') || folded.startsWith('x-real-');
    if (!isToken(member) || NEVER_NOMINATED.has(folded) || isForwarding || isProtected(folded)) return member;
  }
  return undefined;
}

/** Removes hop-by-hop fields and those the `Connection` fields nominate. */
export function stripHopByHop(headers: HeaderList): void {
  const nominated = headers.has('connection') ? listMembers(headers.all('connection')) : [];
  headers.removeWhere((name) => HOP_BY_HOP.has(name) || nominated.includes(name));
}

/** Fields that must not stand in a trailer (RFC 9110 §6.5.1): framing, routing, authentication, content negotiation. */
const NOT_IN_TRAILERS: ReadonlySet<string> = new Set([
  ...HOP_BY_HOP,
  ...NEVER_NOMINATED,
  'content-range',
  'set-cookie',
  'www-authenticate',
  'location',
  'retry-after',
  'vary',
  'age',
  'expires',
  'pragma',
  'range',
  'max-forwards',
]);

export function mayTrail(name: string): boolean {
  return isToken(name) && !NOT_IN_TRAILERS.has(foldName(name));
}
