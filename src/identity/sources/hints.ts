// hot path
/** Host, path and a plain header: anyone can write them. Proof only on a listener that says `trust: network`. */
import type { Exchange } from '../../pipeline/index.ts';
import { isName } from '../protected-names.ts';
import { replies } from '../replies.ts';
import { type Found, NONE, type Source } from './source.ts';

const AMBIGUOUS: Found = { kind: 'refused', reply: replies.mismatch };

export function hostSource(isProof: boolean): Source {
  return {
    name: 'host',
    isProof,
    find: (x) => (x.snapshot.tenantByHost.has(x.host) ? { kind: 'named', by: 'host', id: x.host } : NONE),
  };
}

/** `/t/acme/orders` names `acme`, behind the prefix `/t/`. */
export function pathSource(isProof: boolean, prefix: string): Source {
  return {
    name: 'path',
    isProof,
    find(x: Exchange): Found {
      const { path } = x;
      // `/t/acme/../globex` is acme's here and globex's to an application that resolves it.
      if (mayHaveDotSegment(path) && hasDotSegment(path)) return AMBIGUOUS;
      if (!path.startsWith(prefix)) return NONE;
      const end = path.indexOf('/', prefix.length);
      const id = path.slice(prefix.length, end === -1 ? undefined : end);
      // Without a prefix every path has a first segment; only those that name a tenant are meant.
      if (id === '' || (prefix === '/' && !x.snapshot.tenantByClaim.has(id))) return NONE;
      return { kind: 'named', by: 'claim', id };
    },
  };
}

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
