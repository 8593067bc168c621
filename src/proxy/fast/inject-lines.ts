// hot path
/**
 * The lines that stages inject, as bytes. Nearly every request of a tenant injects the same ones, so those of the last tenants are
 * kept: by slot, and only used when they are the very same names and values, so that a change needs no flush and nobody gets another's.
 *
 *   tenant.index ─ & 4095 ─▶ [ pairs | bytes ]
 */
import type { Exchange } from '../../pipeline/index.ts';
import { linesOf } from './lines.ts';

/** A power of two. 4,096 × about 200 bytes. */
const SLOTS = 4096;
const NO_LINES: Buffer = Buffer.alloc(0);

interface Kept {
  readonly pairs: readonly string[];
  readonly bytes: Buffer;
}

export class InjectLines {
  readonly #kept: (Kept | undefined)[] = new Array(SLOTS).fill(undefined);

  of({ tenant, inject }: Exchange): Buffer {
    if (inject.length === 0) return NO_LINES;
    const slot = (tenant?.index ?? 0) & (SLOTS - 1);
    const kept = this.#kept[slot];
    if (kept !== undefined && isSame(kept.pairs, inject)) return kept.bytes;
    const bytes = Buffer.from(linesOf(inject), 'latin1');
    this.#kept[slot] = { pairs: [...inject], bytes };
    return bytes;
  }
}

function isSame(a: readonly string[], b: readonly string[]): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}
