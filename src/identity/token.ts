/** The unverified form of a JSON Web Token: what may be looked at before any signature, and what is refused by its shape alone. */
import type { Claims } from './claims.ts';

export interface TokenForm {
  readonly algorithm: string;
  readonly keyId: string | undefined;
  /** Lower case, without `application/`. */
  readonly type: string | undefined;
  /** Unverified: only selects the provider whose keys must then verify it. */
  readonly issuer: string;
  /** Unverified, as all of it is. */
  readonly claims: Claims;
  /** What the signature is of. */
  readonly signed: string;
  readonly signature: Buffer;
}

/** Larger than any token of this world, smaller than a head. What is longer is refused unread, and remembered nowhere. */
export const TOKEN_CHARS_MAX = 8192;
const PARTS = /^([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)$/;

/** undefined for whatever is no plain, canonical, three-part token with one meaning. */
export function readForm(token: string): TokenForm | undefined {
  const parts = PARTS.exec(token);
  if (parts === null) return undefined;
  const header = readPart(parts[1] as string);
  const claims = readPart(parts[2] as string);
  const signature = bytesOf(parts[3] as string);
  if (header === undefined || claims === undefined || signature === undefined) return undefined;
  const { alg, kid, typ } = header;
  // Compressed or encrypted tokens, and extensions that must be understood, are not spoken here.
  if (typeof alg !== 'string' || 'zip' in header || 'enc' in header || 'crit' in header || 'b64' in header)
    return undefined;
  if ((kid !== undefined && typeof kid !== 'string') || (typ !== undefined && typeof typ !== 'string'))
    return undefined;
  if (typeof claims['iss'] !== 'string') return undefined;
  return {
    algorithm: alg,
    keyId: kid,
    type: typ === undefined ? undefined : mediaType(typ),
    issuer: claims['iss'],
    claims,
    signed: token.slice(0, token.lastIndexOf('.')),
    signature,
  };
}

/** Lower case, without `application/`, which may be left out (RFC 7515 §4.1.9). */
export function mediaType(typ: string): string {
  const type = typ.toLowerCase();
  return type.startsWith('application/') ? type.slice('application/'.length) : type;
}

const utf8 = new TextDecoder('utf-8', { fatal: true });

function readPart(part: string): Record<string, unknown> | undefined {
  const bytes = bytesOf(part);
  if (bytes === undefined) return undefined;
  try {
    const text = utf8.decode(bytes);
    const value: unknown = JSON.parse(text);
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined;
    // A parser that takes the first of two equal claims would see another tenant than one that takes the last.
    return countWritten(text) === countMembers(value) ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}

/** One spelling a token: no padding, no stray bits (RFC 7515 §2). undefined for another. */
function bytesOf(part: string): Buffer | undefined {
  const bytes = Buffer.from(part, 'base64url');
  return bytes.toString('base64url') === part ? bytes : undefined;
}

/** Members of all objects in a sound JSON text as they are written, duplicates counted: outside of texts each has one colon. */
function countWritten(text: string): number {
  let members = 0;
  for (let i = 0; i < text.length; i++) {
    if (text[i] === '"') i = endOfString(text, i);
    else if (text[i] === ':') members++;
  }
  return members;
}

function endOfString(text: string, from: number): number {
  let i = from + 1;
  while (text[i] !== '"') i += text[i] === '\\' ? 2 : 1;
  return i;
}

/** Members of the value and all objects in it. A list of what is to be looked at, not recursion: a token can be thousands deep. */
function countMembers(value: object): number {
  const open: object[] = [value];
  let members = 0;
  for (let at = open.pop(); at !== undefined; at = open.pop()) {
    const inside: unknown[] = Object.values(at);
    if (!Array.isArray(at)) members += inside.length;
    for (const each of inside) if (typeof each === 'object' && each !== null) open.push(each);
  }
  return members;
}
