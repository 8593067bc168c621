/** Where a tenant may be named. One implementation a file; later ones (mTLS, introspection, the signed context) stand beside these. */
import type { Exchange, IdentitySource, Reply } from '../../pipeline/index.ts';
import type { Tenant } from '../../tenants/index.ts';
import type { Detail } from '../refusals.ts';

/**
 * - `none`: the request says nothing here. - `named`: it names a tenant by an id that the snapshot maps (claim, host, key id
 * have name spaces of their own). - `refused`: it says something that must not pass.
 */
export type Found =
  | { readonly kind: 'none' }
  | Named
  | { readonly kind: 'refused'; readonly reply: Reply; readonly detail: Detail };

export interface Named {
  readonly kind: 'named';
  readonly by: 'claim' | 'host' | 'keyId';
  readonly id: string;
  /** Of what is found more than once: whom the id named when it was last looked up, and in which generation. */
  readonly last?: { generation: number; tenant: Tenant | undefined };
}

export interface Source {
  readonly name: IdentitySource;
  /** Whether what it finds is proof by itself. A hint must agree with the proof, and proves nothing alone. */
  readonly isProof: boolean;
  /** Synchronous where no key must be fetched and no signature verified. */
  find(x: Exchange): Found | Promise<Found>;
}

export const NONE: Found = { kind: 'none' };
