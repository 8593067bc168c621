// hot path
/** Host, path and a plain header: anyone can write them. Proof only on a listener that says `trust: network`. */
import type { Exchange } from '../../pipeline/index.ts';
import { replies } from '../replies.ts';
import { type Found, NONE, type Source } from './source.ts';

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
      if (!x.path.startsWith(prefix)) return NONE;
      const end = x.path.indexOf('/', prefix.length);
      const id = x.path.slice(prefix.length, end === -1 ? undefined : end);
      // Without a prefix every path has a first segment; only those that name a tenant are meant.
      if (id === '' || (prefix === '/' && !x.snapshot.tenantByClaim.has(id))) return NONE;
      return { kind: 'named', by: 'claim', id };
    },
  };
}

export function headerSource(isProof: boolean, header: string): Source {
  return {
    name: 'header',
    isProof,
    find(x: Exchange): Found {
      const values = x.headers.all(header);
      if (values.length === 0) return NONE;
      if (values.length > 1) return { kind: 'refused', reply: replies.mismatch };
      return { kind: 'named', by: 'claim', id: values[0] as string };
    },
  };
}
