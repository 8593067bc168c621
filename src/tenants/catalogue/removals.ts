/**
 * What may go. An object leaves with its document while its file still stands; a file that vanished keeps its objects for a
 * grace period; and what looks like a lost mount removes nothing at all.
 */
import type { MonotonicMs } from '../../core/index.ts';
import { type Complaints, DIRECTORY } from './complaints.ts';
import type { LiveObject } from './live-object.ts';
import type { Settled } from './settle.ts';

export interface RemovalRules {
  readonly allowShrink: boolean;
  readonly removeGraceMs: number;
  readonly now: MonotonicMs;
}

/** Largest share of the tenants that one change may remove; one tenant may always go. */
const SHRINK_SHARE_MAX = 0.2;
const REMEDY = 'bring the files back, remove fewer at a time, or start with --tenancy-allow-shrink';

export class Removals {
  /** When a file that live objects stand in was first seen missing: no more entries than such files. */
  #missingSince: ReadonlyMap<string, MonotonicMs> = new Map();

  /**
   * Keys of live objects to remove, and when to look again for those in their grace. `present`: the tenancy files of the moment;
   * `unread`: see `Moment`.
   */
  judge(
    live: ReadonlyMap<string, LiveObject>,
    settled: Settled,
    present: ReadonlySet<string>,
    unread: readonly string[] | 'everything',
    rules: RemovalRules,
    complaints: Complaints,
  ): { removed: Set<string>; nextAt: MonotonicMs | undefined } {
    const removed = new Set<string>();
    const missingSince = new Map<string, MonotonicMs>();
    let nextAt: number | undefined;
    for (const [key, { file }] of live) {
      if (settled.wanted.has(key) || settled.kept.has(key) || settled.murky.has(file)) continue;
      if (isUnread(file, unread)) continue;
      if (!present.has(file)) {
        const since = this.#missingSince.get(file) ?? rules.now;
        missingSince.set(file, since);
        const until = since + rules.removeGraceMs;
        if (rules.now < until) {
          nextAt = Math.min(nextAt ?? until, until);
          continue;
        }
      }
      removed.add(key);
    }
    this.#missingSince = missingSince;
    const isAllowed = rules.allowShrink || isModest(live, settled, removed, complaints);
    return { removed: isAllowed ? removed : new Set(), nextAt: nextAt as MonotonicMs | undefined };
  }
}

function isUnread(file: string, unread: readonly string[] | 'everything'): boolean {
  return unread === 'everything' || unread.some((path) => file === path || file.startsWith(`${path}/`));
}

/** Says what was refused when it is not. */
function isModest(
  live: ReadonlyMap<string, LiveObject>,
  { wanted, kept }: Settled,
  removed: ReadonlySet<string>,
  complaints: Complaints,
): boolean {
  if (removed.size === 0) return true;
  if (wanted.size === 0 && kept.size === 0) {
    complaints.plain(DIRECTORY, `no document is left; the ${live.size} live objects stay`, REMEDY);
    return false;
  }
  const isTenant = (key: string): boolean => key.startsWith('Tenant/');
  const leaving = [...removed].filter(isTenant).length;
  const all = leaving === 0 ? 0 : [...live.keys()].filter(isTenant).length;
  const allowed = Math.max(1, Math.floor(all * SHRINK_SHARE_MAX));
  if (leaving <= allowed) return true;
  complaints.plain(
    DIRECTORY,
    `refused to remove ${leaving} of ${all} tenants in one change (at most ${allowed})`,
    REMEDY,
  );
  return false;
}
