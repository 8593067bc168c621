/** Where a process can be killed in its work with the disk; docs/fault-model.md names them. */
const WHEN = ['before', 'after'];

const ofCalls = (dir: string, calls: readonly string[]): string[] => [
  ...calls.flatMap((call) => WHEN.map((when) => `${dir}.${call}.${when}`)),
  `${dir}.append.torn`,
];

/** A spool that is folded has segments written anew and renamed into place. */
export const SPOOL_POINTS: readonly string[] = ofCalls('spool', [
  ...['create', 'append', 'sync', 'sync-dir', 'rename', 'remove', 'truncate'],
]);
/** A ledger is never written anew. */
export const LEDGER_POINTS: readonly string[] = ofCalls('ledger', [
  ...['create', 'append', 'sync', 'sync-dir', 'remove', 'truncate'],
]);
/** A save writes a Parquet file and syncs it, writes the list of all files beside the old one, and renames it. */
export const SUMS_POINTS: readonly string[] = ofCalls('sums', [
  ...['sync', 'create', 'append', 'sync-dir', 'rename', 'remove'],
]);

/** As the result has them: by who and where. */
export const ALL_POINTS: readonly string[] = [
  ...SPOOL_POINTS.map((point) => `sidecar ${point}`),
  ...[...LEDGER_POINTS, ...SUMS_POINTS].map((point) => `collector ${point}`),
];

/** What only the next life comes to, at its start: a segment without a head is removed, half a frame is cut off. */
export function followerOf(point: string, when: string): string | undefined {
  const [dir, call, at] = point.split('.');
  if (dir === 'sums') return undefined;
  if (call === 'create' && at === 'after') return `${dir}.remove.${when}`;
  return call === 'append' && at === 'torn' ? `${dir}.truncate.${when}` : undefined;
}
