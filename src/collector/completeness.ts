/**
 * Up to when the sums are whole. A window is whole when every live spool has told all of it; one that does not is named. A spool that said
 * Bye, or was written off, holds nothing.
 */
import type { Spool } from './spools.ts';

/** A spool that windows wait for. */
export interface Missing {
  readonly spool: string;
  readonly service: string;
  readonly instance: string;
  /** All of it until then is here, wall ms; 0: nothing is. */
  readonly lastMs: number;
}

export interface Completeness {
  /** Wall ms: everything before is in the sums. */
  readonly untilMs: number;
  /** Those that have not told all before `asked`, at most `MISSING_MAX`. */
  readonly missing: readonly Missing[];
  readonly missingCount: number;
}

const MISSING_MAX = 100;

/** `askedMs`: until when it should be whole. */
export function completenessOf(spools: Iterable<Spool>, askedMs: number): Completeness {
  let untilMs = askedMs;
  const missing: Missing[] = [];
  let missingCount = 0;
  for (const { id, service, instance, state, watermarkMs, firstMs, synced } of spools) {
    // One that never told anything, and came after what is asked for, has nothing of it.
    const fromMs = synced.epoch === 0 ? Math.max(watermarkMs, firstMs) : watermarkMs;
    if (state !== 'live' || fromMs >= askedMs) continue;
    untilMs = Math.min(untilMs, fromMs);
    missingCount++;
    if (missing.length < MISSING_MAX) missing.push({ spool: id, service, instance, lastMs: watermarkMs });
  }
  return { untilMs, missing, missingCount };
}
