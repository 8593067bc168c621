/** Where what is in force and what the files say part: objects that go on as they were, and tenants that are left out. */
import type { Judgement } from './judgement.ts';
import { titleOf } from './live-object.ts';

/** Objects in force as no document says them: on their last good version, until the files are mended or what is gone from them goes. */
export interface Kept {
  readonly total: number;
  /** `Tenant "acme"` */
  readonly first: readonly string[];
}

/** Tenants that stand in the files and are not in force, not even by an older version. */
export interface LeftOut {
  readonly total: number;
  readonly first: readonly { readonly name: string; readonly plan: string | undefined }[];
}

/** A line of a log names them all. */
const KEPT_FIRST = 10;
/** About any of these can be asked; as many as findings are kept. */
const LEFT_OUT_FIRST = 1000;

export function keptOf({ next, settled, refused }: Judgement): Kept {
  const first: string[] = [];
  let total = 0;
  for (const [key, object] of next) {
    if (settled.wanted.has(key) && !refused.has(key)) continue;
    if (total++ < KEPT_FIRST) first.push(titleOf(object));
  }
  return { total, first };
}

export function leftOutOf({ next, settled, refused }: Judgement): LeftOut {
  const left = new Map<string, string | undefined>();
  const add = (key: string, plan: string | undefined): void => {
    if (key.startsWith(TENANT) && !next.has(key)) left.set(key.slice(TENANT.length), plan);
  };
  for (const key of settled.kept) add(key, undefined);
  for (const [key, plan] of refused) add(key, plan);
  for (const { kind, name } of settled.murky.map(({ loaded }) => loaded.parsed))
    if (name !== undefined && !settled.wanted.has(`${kind}/${name}`)) add(`${kind}/${name}`, undefined);
  return { total: left.size, first: [...left].slice(0, LEFT_OUT_FIRST).map(([name, plan]) => ({ name, plan })) };
}

const TENANT = 'Tenant/';
