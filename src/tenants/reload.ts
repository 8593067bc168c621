/** What became of one look at the directory. */

/**
 * - `applied`: something changed, without an error. - `unchanged`: nothing did. - `partial`: something changed, and there
 * are errors. - `rejected`: there are errors, and nothing changed.
 */
export type ReloadResult = 'applied' | 'unchanged' | 'partial' | 'rejected';

export interface Reload {
  readonly result: ReloadResult;
  readonly atWallMs: number;
  readonly durationMs: number;
  readonly changed: number;
}
