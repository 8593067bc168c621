/**
 * What may go. An object leaves with its document while its file still stands and has no error: with one it may be what the error hides,
 * such as a name misspelt. A file that vanished keeps its objects for a grace period; and what looks like a lost mount removes nothing
 * at all.
 */
import type { MonotonicMs } from '../../core/index.ts';
import { type Complaints, DIRECTORY } from './complaints.ts';
import { type LiveObject, titleOf } from './live-object.ts';
import type { Settled } from './settle.ts';

export interface RemovalRules {
  readonly allowShrink: boolean;
  readonly removeGraceMs: number;
  readonly now: MonotonicMs;
}

/** Largest share of the tenants that one change may remove; one tenant may always go. */
const SHRINK_SHARE_MAX = 0.2;
/** Objects named in one finding. */
const NAMED_MAX = 10;
const REMEDY = 'bring the files back, remove fewer at a time, or start with --tenancy-allow-shrink';

export class Removals {
  /** When a file that live objects stand in was first seen missing: no more entries than such files. */
  #missingSince: ReadonlyMap<string, MonotonicMs> = new Map();

  /**
   * Keys of live objects to remove, of those that go on since their file has an error, with that file, and when to look again for those
   * in their grace. `present`: the tenancy files of the moment; `unread`: see `Moment`.
   */
  judge(
    live: ReadonlyMap<string, LiveObject>,
    settled: Settled,
    present: ReadonlySet<string>,
    unread: readonly string[] | 'everything',
    rules: RemovalRules,
    complaints: Complaints,
  ): { removed: Set<string>; held: Map<string, string>; nextAt: MonotonicMs | undefined } {
    const removed = new Set<string>();
    const held = new Map<string, string>();
    const spoiltHomeOf = spoiltHomes(live, settled, complaints.spoilt);
    const missingSince = new Map<string, MonotonicMs>();
    let nextAt: number | undefined;
    for (const [key, { file }] of live) {
      if (settled.wanted.has(key) || settled.kept.has(key) || settled.cut.has(file) || isUnread(file, unread)) continue;
      const home = spoiltHomeOf(file);
      if (home !== undefined) {
        held.set(key, home);
        continue;
      }
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
    tellHeld(held, live, complaints);
    const isAllowed = rules.allowShrink || isModest(live, settled, removed, complaints);
    return { removed: isAllowed ? removed : new Set(), held, nextAt: nextAt as MonotonicMs | undefined };
  }
}

/**
 * The file with an error in which an object of this one may be hidden: the same, or one to which other objects of it moved, as when it
 * was renamed.
 */
function spoiltHomes(
  live: ReadonlyMap<string, LiveObject>,
  { wanted }: Settled,
  spoilt: ReadonlySet<string>,
): (file: string) => string | undefined {
  const heirs = new Map<string, string>();
  if (spoilt.size > 0)
    for (const [key, { file }] of wanted) {
      const before = live.get(key)?.file;
      if (before !== undefined && before !== file.path && spoilt.has(file.path)) heirs.set(before, file.path);
    }
  return (file) => (spoilt.has(file) ? file : heirs.get(file));
}

/** One finding a file. */
function tellHeld(
  held: ReadonlyMap<string, string>,
  live: ReadonlyMap<string, LiveObject>,
  complaints: Complaints,
): void {
  const byFile = Map.groupBy(held.keys(), (key) => held.get(key) as string);
  for (const [file, keys] of byFile) {
    const names = keys.slice(0, NAMED_MAX).map((key) => titleOf(live.get(key) as LiveObject));
    const more = keys.length > names.length ? `, and ${keys.length - names.length} more` : '';
    const message =
      keys.length === 1
        ? `${names[0]} stands in no sound document any more, and goes on as it was until every document here can be used`
        : `${keys.length} objects stand in no sound document any more, and go on as they were until every document here can be used: ${names.join(', ')}${more}`;
    complaints.plain(file, message, 'mend them; what then stands nowhere is removed', { severity: 'warning' });
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
