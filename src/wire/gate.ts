// hot path
/**
 * The strict gate: what a request head must be before any policy sees it. Pure, over strings, so that both engines share it.
 * It refuses what two servers could read in two ways (RFC 9112 §11.2), even where a parser would accept it: after doubtful
 * framing the next byte of the connection could belong to anyone, so every refusal here ends the connection.
 */
import {
  isFieldValue,
  isTarget,
  isToken,
  listMembers,
  parseAuthority,
  parseContentLength,
  portOfAuthority,
} from './grammar.ts';
import type { HeaderList } from './header-list.ts';
import { forbiddenNomination } from './hop-by-hop.ts';

export interface RequestHead {
  readonly method: string;
  /** As it stood in the request line. */
  readonly target: string;
  /** `1.0` or `1.1`; anything else is refused. */
  readonly version: string;
  readonly headers: HeaderList;
}

export interface GateRules {
  readonly headersMax: number;
  readonly headBytesMax: number;
  readonly targetBytesMax: number;
  readonly isProtectedName: (foldedName: string) => boolean;
}

/** The body's framing: none, so many bytes, or chunked. */
export type Framing =
  | { readonly kind: 'none' }
  | { readonly kind: 'length'; readonly bytes: number }
  | { readonly kind: 'chunked' };

export interface Passed {
  readonly isRefused: false;
  /** Origin-form (or `*` of OPTIONS): absolute-form was taken apart. */
  readonly target: string;
  readonly path: string;
  /** Lower case, without port and trailing dot; empty for HTTP/1.0 without Host. */
  readonly host: string;
  /** Of the authority; 0 without one. */
  readonly port: number;
  /** The authority as sent, for the Host field of the next hop; undefined when there was none. */
  readonly authority: string | undefined;
  readonly framing: Framing;
  readonly expectsContinue: boolean;
}

export interface Refused {
  readonly isRefused: true;
  readonly code:
    | 'malformed-request'
    | 'head-too-large'
    | 'target-too-long'
    | 'unsupported-transfer-coding'
    | 'method-not-supported'
    | 'expectation-failed'
    | 'hop-by-hop-nomination';
  readonly detail: string;
}

const NONE: Framing = { kind: 'none' };
const CHUNKED: Framing = { kind: 'chunked' };
/** Methods that mean something else to a proxy: a tunnel to anywhere, and an echo of our own headers. */
export const REFUSED_METHODS: ReadonlySet<string> = new Set(['CONNECT', 'TRACE', 'TRACK']);

export function gate(head: RequestHead, rules: GateRules): Passed | Refused {
  const refusal = refuseLine(head, rules) ?? refuseFields(head, rules);
  if (refusal !== undefined) return refusal;
  const framing = framingOf(head);
  if ('isRefused' in framing) return framing;
  return placeOf(head, framing);
}

function refused(code: Refused['code'], detail: string): Refused {
  return { isRefused: true, code, detail };
}

function refuseLine({ method, target, version }: RequestHead, rules: GateRules): Refused | undefined {
  if (version !== '1.1' && version !== '1.0')
    return refused('malformed-request', 'Only HTTP/1.1 and HTTP/1.0 are spoken here.');
  if (target.length > rules.targetBytesMax)
    return refused('target-too-long', `The request target is longer than ${rules.targetBytesMax} bytes.`);
  if (!isToken(method)) return refused('malformed-request', 'The method is not a token.');
  if (REFUSED_METHODS.has(method)) return refused('method-not-supported', `${method} is not supported.`);
  if (!isTarget(target))
    return refused('malformed-request', 'The request target holds a character that may not stand there.');
  return undefined;
}

function refuseFields({ target, headers }: RequestHead, rules: GateRules): Refused | undefined {
  if (headers.count > rules.headersMax)
    return refused('head-too-large', `More than ${rules.headersMax} header fields.`);
  let bytes = target.length;
  for (let i = 0; i < headers.raw.length; i += 2) {
    const name = headers.raw[i] as string;
    const value = headers.raw[i + 1] as string;
    if (!isToken(name)) return refused('malformed-request', 'A header name is not a token.');
    if (!isFieldValue(value)) return refused('malformed-request', 'A header value holds a control character.');
    bytes += name.length + value.length + 4;
  }
  if (bytes > rules.headBytesMax)
    return refused('head-too-large', `The request head is larger than ${rules.headBytesMax} bytes.`);
  const nominated = forbiddenNomination(headers, rules.isProtectedName);
  if (nominated !== undefined)
    return refused('hop-by-hop-nomination', 'The Connection field names a field that must not be removed on the way.');
  return undefined;
}

/** RFC 9112 §6.3, with everything ambiguous refused. */
function framingOf({ version, headers }: RequestHead): Framing | Refused {
  const lengths = headers.all('content-length');
  const codings = headers.all('transfer-encoding');
  if (codings.length > 0) {
    if (lengths.length > 0) return refused('malformed-request', 'Both Content-Length and Transfer-Encoding.');
    if (version === '1.0') return refused('malformed-request', 'Transfer-Encoding in HTTP/1.0.');
    if (codings.length > 1) return refused('malformed-request', 'More than one Transfer-Encoding field.');
    if ((codings[0] as string).toLowerCase() !== 'chunked')
      return refused('unsupported-transfer-coding', 'The only transfer coding is chunked.');
    return CHUNKED;
  }
  if (lengths.length === 0) return NONE;
  const bytes = lengths.length === 1 ? parseContentLength(lengths[0] as string) : undefined;
  if (bytes === undefined) return refused('malformed-request', 'Content-Length must be given once, in digits.');
  return { kind: 'length', bytes };
}

function placeOf(head: RequestHead, framing: Framing): Passed | Refused {
  const { headers, version } = head;
  const hosts = headers.all('host');
  if (hosts.length > 1) return refused('malformed-request', 'More than one Host field.');
  if (hosts.length === 0 && version === '1.1') return refused('malformed-request', 'No Host field.');
  const place = readTarget(head, hosts[0]);
  if (place === undefined)
    return refused('malformed-request', 'The request target is neither an absolute path nor an http URL.');
  const host = place.authority === undefined || place.authority === '' ? '' : parseAuthority(place.authority);
  if (host === undefined || (hosts[0] !== undefined && hosts[0] !== '' && parseAuthority(hosts[0]) === undefined))
    return refused('malformed-request', 'The Host is not a host name.');
  const expects = listMembers(headers.all('expect'));
  if (expects.some((each) => each !== '100-continue'))
    return refused('expectation-failed', 'The only expectation is 100-continue.');
  const query = place.target.indexOf('?');
  return {
    isRefused: false,
    target: place.target,
    path: query === -1 ? place.target : place.target.slice(0, query),
    host,
    port: portOfAuthority(place.authority ?? ''),
    authority: place.authority,
    framing,
    // RFC 9110 §10.1.1: an expectation without content, or in HTTP/1.0, is ignored.
    expectsContinue: expects.length > 0 && framing.kind !== 'none' && version === '1.1',
  };
}

/** Absolute-form wins over Host (RFC 9112 §3.2.2). */
function readTarget(
  { method, target }: RequestHead,
  host: string | undefined,
): { target: string; authority: string | undefined } | undefined {
  if (target.startsWith('/')) return { target, authority: host };
  if (target === '*') return method === 'OPTIONS' ? { target, authority: host } : undefined;
  const scheme = target.slice(0, 8).toLowerCase();
  const from = scheme.startsWith('http://') ? 7 : scheme === 'https://' ? 8 : 0;
  if (from === 0) return undefined;
  const path = target.slice(from).search(/[/?]/);
  const end = path === -1 ? target.length : from + path;
  const rest = target.slice(end);
  if (end === from) return undefined;
  return { target: rest.startsWith('/') ? rest : `/${rest}`, authority: target.slice(from, end) };
}
