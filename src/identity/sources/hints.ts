// hot path
/** Host, path and a plain header: anyone can write them. Proof only on a listener that says `trust: network`. */
import type { Exchange } from '../../pipeline/index.ts';
import { isName } from '../protected-names.ts';
import { replies } from '../replies.ts';
import { type Found, NONE, type Source } from './source.ts';

const AMBIGUOUS: Found = { kind: 'refused', reply: replies.mismatch, detail: 'malformed' };

export function hostSource(isProof: boolean): Source {
  return {
    name: 'host',
    isProof,
    find: (x) => (x.snapshot.tenantByHost.has(x.host) ? { kind: 'named', by: 'host', id: x.host } : NONE),
  };
}

/**
 * `/t/acme/orders` names `acme`, behind the prefix `/t/`. What names nobody here and could name somebody to a server behind, which
 * decodes, merges slashes, drops `;parameters` or ignores case, is refused.
 */
export function pathSource(isProof: boolean, prefix: string): Source {
  const folded = prefix.toLowerCase();
  return {
    name: 'path',
    isProof,
    find(x: Exchange): Found {
      const { path } = x;
      // `/t/acme/../globex` is acme's here and globex's to an application that resolves it.
      if (mayHaveDotSegment(path) && hasDotSegment(path)) return AMBIGUOUS;
      // `//host/t/globex` is a path behind a host to an application that parses it as a reference (RFC 3986 §4.2).
      if (path.startsWith('//')) return AMBIGUOUS;
      if (!path.startsWith(prefix)) return canFoldTo(path, folded) ? AMBIGUOUS : NONE;
      const end = path.indexOf('/', prefix.length);
      const id = path.slice(prefix.length, end === -1 ? undefined : end);
      if (isSpelledOddly(id) || (id === '' && end !== -1)) return AMBIGUOUS;
      // Without a prefix every path has a first segment; only those that name a tenant are meant.
      if (id === '' || (prefix === '/' && !x.snapshot.tenantByClaim.has(id))) return NONE;
      return { kind: 'named', by: 'claim', id };
    },
  };
}

function isSpelledOddly(text: string): boolean {
  return text.includes('%') || text.includes(';') || text.includes('\\');
}

/** Times a path may be decoded on its way: by a proxy, by a router, by an application. */
const DECODED_MAX = 3;

/** Whether some server would read a path that does not begin with the prefix as one that does. */
function canFoldTo(path: string, prefix: string): boolean {
  let plain = path.toLowerCase();
  if (isSpelledOddly(plain)) {
    for (let i = 0; i < DECODED_MAX && plain.includes('%'); i++)
      plain = plain
        .replaceAll(ENCODED, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)))
        .toLowerCase();
    plain = plain.replaceAll('\\', '/').replaceAll(PARAMETERS, '');
  }
  if (plain.includes('//')) plain = plain.replaceAll(SLASHES, '/');
  return plain.startsWith(prefix);
}

/** US-ASCII: what a prefix is written in. */
const ENCODED = /%([0-7][0-9a-f])/g;
const PARAMETERS = /;[^/]*/g;
const SLASHES = /\/{2,}/g;

/** Cheap, and false for nearly every path. */
function mayHaveDotSegment(path: string): boolean {
  return path.includes('/.') || path.includes('%') || path.includes('\\');
}

/** Whether some server would resolve the path to another: `.` and `..`, percent-encoded, behind `\` or before `;` too. */
function hasDotSegment(path: string): boolean {
  const plain = path
    .toLowerCase()
    .replaceAll('%2e', '.')
    .replaceAll('%2f', '/')
    .replaceAll('%5c', '/')
    .replaceAll('\\', '/');
  for (const segment of plain.split('/')) {
    const end = segment.indexOf(';');
    const name = end === -1 ? segment : segment.slice(0, end);
    if (name === '.' || name === '..') return true;
  }
  return false;
}

/** One field of the name, its folds counted: an application that reads `X_Org` as `X-Org` must not read another tenant there. */
export function headerSource(isProof: boolean, header: string): Source {
  return {
    name: 'header',
    isProof,
    find({ headers }: Exchange): Found {
      const { names } = headers;
      let at = -1;
      for (let i = 0; i < names.length; i++) {
        if (!isName(names[i] as string, header)) continue;
        if (at !== -1 || names[i] !== header) return AMBIGUOUS;
        at = i;
      }
      return at === -1 ? NONE : { kind: 'named', by: 'claim', id: headers.raw[2 * at + 1] as string };
    },
  };
}
