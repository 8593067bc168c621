/** The unverified form of a JSON Web Token: what may be looked at before any signature, and what is refused by its shape alone. */

export interface TokenForm {
  readonly algorithm: string;
  readonly keyId: string | undefined;
  /** Lower case, without `application/`. */
  readonly type: string | undefined;
  /** Unverified: only selects the provider whose keys must then verify it. */
  readonly issuer: string;
}

/** Larger than any token of this world, smaller than a head. What is longer is refused unread, and remembered nowhere. */
export const TOKEN_CHARS_MAX = 8192;
const PARTS = /^([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)$/;

/** undefined for whatever is no plain, canonical, three-part token with one meaning. */
export function readForm(token: string): TokenForm | undefined {
  const parts = PARTS.exec(token);
  if (parts === null) return undefined;
  const header = readPart(parts[1] as string);
  const payload = readPart(parts[2] as string);
  if (header === undefined || payload === undefined || !isCanonical(parts[3] as string)) return undefined;
  const { alg, kid, typ } = header;
  // Compressed or encrypted tokens, and extensions that must be understood, are not spoken here.
  if (typeof alg !== 'string' || 'zip' in header || 'enc' in header || 'crit' in header || 'b64' in header)
    return undefined;
  if ((kid !== undefined && typeof kid !== 'string') || (typ !== undefined && typeof typ !== 'string'))
    return undefined;
  if (typeof payload['iss'] !== 'string') return undefined;
  return {
    algorithm: alg,
    keyId: kid,
    type: typ === undefined ? undefined : mediaType(typ),
    issuer: payload['iss'],
  };
}

/** Lower case, without `application/`, which may be left out (RFC 7515 §4.1.9). */
export function mediaType(typ: string): string {
  const type = typ.toLowerCase();
  return type.startsWith('application/') ? type.slice('application/'.length) : type;
}

function readPart(part: string): Record<string, unknown> | undefined {
  if (!isCanonical(part)) return undefined;
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(Buffer.from(part, 'base64url'));
    const value: unknown = JSON.parse(text);
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined;
    // A parser that takes the first of two equal claims would see another tenant than one that takes the last.
    return countWritten(text) === countMembers(value) ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}

/** One spelling a token: no padding, no stray bits (RFC 7515 §2). */
function isCanonical(part: string): boolean {
  return Buffer.from(part, 'base64url').toString('base64url') === part;
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

/** A claim of exactly this name, else a path separated by dots; own members only. A text or a whole number, or undefined. */
export function claimAt(payload: object, name: string): string | undefined {
  const direct = own(payload, name);
  const value =
    direct ??
    name
      .split('.')
      .reduce<unknown>(
        (at, key) => (typeof at === 'object' && at !== null && !Array.isArray(at) ? own(at, key) : undefined),
        payload,
      );
  if (typeof value === 'string' && value.length > 0 && value.length <= 256) return value;
  return typeof value === 'number' && Number.isSafeInteger(value) ? String(value) : undefined;
}

function own(object: object, key: string): unknown {
  return Object.hasOwn(object, key) ? (object as Record<string, unknown>)[key] : undefined;
}
