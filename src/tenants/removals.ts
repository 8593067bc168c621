/**
 * What may go. An object leaves with its document while its file still stands; a file that vanished keeps its objects for a
 * grace period; and one change never takes more than a fifth of the tenants unless that was allowed.
 */
import type { MonotonicMs } from '../core/index.ts';
import type { Desired, LiveObject } from './desired.ts';
import type { Finding } from './model.ts';
import type { Pace } from './pace.ts';

export interface RemovalRules {
  readonly allowShrink: boolean;
  readonly removeGraceMs: number;
  readonly now: MonotonicMs;
}

export interface Removals {
  readonly removed: ReadonlySet<string>;
  readonly findings: readonly Finding[];
  readonly nextAt: MonotonicMs | undefined;
}

/** Largest share of the tenants that one change may remove; one tenant may always go. */
const SHRINK_SHARE_MAX = 0.2;

export interface RemovalCase {
  readonly live: ReadonlyMap<string, LiveObject>;
  readonly desired: Desired;
  readonly present: ReadonlySet<string>;
  readonly missingSince: Map<string, MonotonicMs>;
  readonly tenantCount: number;
  readonly rules: RemovalRules;
  readonly pace: Pace;
}

export async function judgeRemovals({
  live,
  desired,
  present,
  missingSince,
  tenantCount,
  rules,
  pace,
}: RemovalCase): Promise<Removals> {
  for (const file of missingSince.keys()) if (present.has(file)) missingSince.delete(file);
  const removed = new Set<string>();
  let nextAt: number | undefined;
  for (const [key, { file }] of live) {
    const slice = pace();
    if (slice !== undefined) await slice;
    if (desired.wanted.has(key) || desired.kept.has(key) || desired.murky.has(file)) continue;
    if (!present.has(file)) {
      const since = missingSince.get(file) ?? rules.now;
      missingSince.set(file, since as MonotonicMs);
      const until = since + rules.removeGraceMs;
      if (rules.now < until) {
        nextAt = Math.min(nextAt ?? until, until);
        continue;
      }
    }
    removed.add(key);
  }
  return guarded(removed, tenantCount, rules, nextAt as MonotonicMs | undefined);
}

function guarded(
  removed: Set<string>,
  tenantCount: number,
  rules: RemovalRules,
  nextAt: MonotonicMs | undefined,
): Removals {
  const tenants = [...removed].filter((key) => key.startsWith('Tenant/'));
  const allowed = Math.max(1, Math.floor(tenantCount * SHRINK_SHARE_MAX));
  if (rules.allowShrink || tenants.length <= allowed) return { removed, findings: [], nextAt };
  for (const key of tenants) removed.delete(key);
  const finding: Finding = {
    severity: 'error',
    file: '',
    line: 0,
    column: 0,
    kind: undefined,
    name: undefined,
    path: '',
    message: `refused to remove ${tenants.length} of ${tenantCount} tenants in one change (at most ${allowed})`,
    remedy: 'bring the files back, remove fewer at a time, or start with --tenancy-allow-shrink',
  };
  return { removed, findings: [finding], nextAt };
}
