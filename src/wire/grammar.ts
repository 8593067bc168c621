// hot path
/** The character classes of RFC 9110 and RFC 9112 as tables: one look-up a byte, no regular expression. */

const TOKEN_BYTES = table("!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz");
/** Letters of a reg-name, an IPv4 address and sub-delims (RFC 3986 §3.2.2), without percent-encoding: no host needs it. */
const HOST_BYTES = table("-._~!$&'()*+;=0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz");
const IP6_BYTES = table('0123456789abcdefABCDEF:.');

function table(allowed: string): Uint8Array {
  const bytes = new Uint8Array(256);
  for (const each of allowed) bytes[each.charCodeAt(0)] = 1;
  return bytes;
}

function allIn(bytes: Uint8Array, text: string, from: number, to: number): boolean {
  for (let i = from; i < to; i++) {
    const code = text.charCodeAt(i);
    if (code > 255 || bytes[code] === 0) return false;
  }
  return true;
}

/** RFC 9110 §5.6.2. */
export function isToken(text: string): boolean {
  return text.length > 0 && allIn(TOKEN_BYTES, text, 0, text.length);
}

/** RFC 9110 §5.5: visible characters, space, tab and obs-text; no other control. */
export function isFieldValue(text: string): boolean {
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code > 255 || (code < 32 && code !== 9) || code === 127) return false;
  }
  return true;
}

/** Visible ASCII only, and no `#`: a fragment is never sent (RFC 9112 §3.2). */
export function isTarget(text: string): boolean {
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code < 33 || code > 126 || code === 35) return false;
  }
  return text.length > 0;
}

/** `uri-host [ ":" port ]` (RFC 9110 §7.2). Says the host in lower case without port and trailing dot, or undefined. */
export function parseAuthority(text: string): string | undefined {
  const isIp6 = text.startsWith('[');
  const hostEnd = isIp6 ? text.indexOf(']') + 1 : endOfName(text);
  if (hostEnd === 0 || text.length > 260) return undefined;
  if (isIp6 ? !allIn(IP6_BYTES, text, 1, hostEnd - 1) || hostEnd < 4 : !allIn(HOST_BYTES, text, 0, hostEnd))
    return undefined;
  if (!isPort(text.slice(hostEnd))) return undefined;
  const host = text.slice(0, hostEnd).toLowerCase();
  return host.endsWith('.') ? host.slice(0, -1) || undefined : host;
}

/** Of what `parseAuthority` takes for one; 0 without a port. */
export function portOfAuthority(text: string): number {
  const colon = text.lastIndexOf(':');
  return colon <= text.lastIndexOf(']') ? 0 : Number(text.slice(colon + 1));
}

function endOfName(text: string): number {
  const colon = text.indexOf(':');
  return colon === -1 ? text.length : colon;
}

function isPort(text: string): boolean {
  if (text === '' || text === ':') return true;
  if (text.charCodeAt(0) !== 58 || text.length > 6) return false;
  for (let i = 1; i < text.length; i++) if (text.charCodeAt(i) < 48 || text.charCodeAt(i) > 57) return false;
  return Number(text.slice(1)) <= 65_535;
}

/** 1 to 15 decimal digits: exact as a JavaScript number, and larger than any body. */
export function parseContentLength(text: string): number | undefined {
  if (text.length === 0 || text.length > 15) return undefined;
  for (let i = 0; i < text.length; i++) if (text.charCodeAt(i) < 48 || text.charCodeAt(i) > 57) return undefined;
  return Number(text);
}

/**
 * Without optional white space (RFC 9110 §5.6.3) at its ends: blanks and tabs. `trim()` takes more, a no-break space among others, which
 * to everybody else is a part of the value.
 */
function trimBlanks(text: string): string {
  let from = 0;
  let to = text.length;
  while (from < to && isBlank(text.charCodeAt(from))) from++;
  while (to > from && isBlank(text.charCodeAt(to - 1))) to--;
  return text.slice(from, to);
}

function isBlank(code: number): boolean {
  return code === 0x20 || code === 0x09;
}

/** Members of a comma-separated list, trimmed, lower case, empty ones dropped (RFC 9110 §5.6.1). */
export function listMembers(values: readonly string[]): string[] {
  const members: string[] = [];
  for (const value of values) {
    for (const member of value.split(',')) {
      const trimmed = trimBlanks(member).toLowerCase();
      if (trimmed !== '') members.push(trimmed);
    }
  }
  return members;
}

/**
 * Header names as a server that maps them to variables sees them: lower case, and `_` and `.` like `-`. CGI, WSGI and PHP
 * read `X_Tenant_Id` and `X-Tenant-Id` as one name, so what guards a name guards its folds.
 */
export function foldName(name: string): string {
  return name.toLowerCase().replaceAll('_', '-').replaceAll('.', '-');
}
