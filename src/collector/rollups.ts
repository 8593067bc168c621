/**
 * Ports: the sums that questions are answered from. They are derived: `save` keeps them with a word of the owner's that says how far the
 * ledger is in them, and what came after it is applied again.
 */

/** What rows can be told apart by. */
export const DIMENSIONS = [
  'tenant',
  'service',
  'route',
  'upstream',
  'operation',
  'outcome',
  'method',
  'status',
] as const;
export type Dimension = (typeof DIMENSIONS)[number];

/** What each request has; a tenant's other meters are the application's own. Times in ms. */
export const BUILT_IN_METERS = ['requests', 'bytes_in', 'bytes_out', 'compute_ms', 'upstream_ms'] as const;

/** Seconds of a window. Seconds are kept for a few minutes, minutes for days, hours for long; days are sums of hours. */
export const STEPS = { '1s': 1, '1m': 60, '1h': 3600, '1d': 86_400 } as const;
export type Step = keyof typeof STEPS;

/** Which windows an answer is summed up from. */
export type Source = 'seconds' | 'minutes' | 'hours';

export interface Question {
  readonly source: Source;
  /** Seconds since 1970, whole windows of the source: from, and up to but not with. */
  readonly fromS: number;
  readonly toS: number;
  readonly by: readonly Dimension[];
  /** Rows are of windows of so many seconds; undefined: of the whole time. */
  readonly stepS?: number;
  /** Only rows of these. */
  readonly where: Readonly<Partial<Record<Dimension, string>>>;
  /** One meter; undefined: each that there is, a row each. */
  readonly meter?: string;
  readonly rowsMax: number;
  /** The largest first, and no more than `rowsMax`; else by time and dimensions, and more rows than `rowsMax` are refused. */
  readonly isTop: boolean;
}

export interface UsageRow {
  /** Begin of the window, seconds since 1970; undefined without a step. */
  readonly t?: number;
  /** In the order of `by`. */
  readonly of: readonly string[];
  readonly meter: string;
  readonly value: number;
}

/** More rows than were asked for at most. */
export interface TooMany {
  readonly tooMany: number;
}

/** What others recorded as sent to a service, and what its own sidecars recorded as arrived, of one tenant in one hour. */
export interface Difference {
  readonly service: string;
  readonly tenant: string;
  /** Of which operation at the edge; empty: of all of them, because not all that arrived told theirs. */
  readonly operation: string;
  readonly hourS: number;
  /** Recorded by others as sent, and answered. */
  readonly sent: number;
  /** Recorded by others as sent, and failed or broken off: these may have arrived or not. */
  readonly unsure: number;
  readonly arrived: number;
}

export interface Reconciled {
  /** Services that others send to and that report themselves. */
  readonly services: number;
  /** Hours × tenants × services × operations that were compared. */
  readonly compared: number;
  readonly differences: readonly Difference[];
}

export interface RollupStore {
  /** Windows of a service, as `Windows.encode` writes them. They are in every answer to what is asked afterwards. */
  apply(service: string, payload: Buffer): Promise<void>;
  query(question: Question): Promise<readonly UsageRow[] | TooMany>;
  /** The largest differences first, at most `rowsMax`. */
  reconcile(fromS: number, toS: number, rowsMax: number): Promise<Reconciled>;
  /** Of the last save; undefined: nothing was saved. */
  readonly word: string | undefined;
  /**
   * What was applied until now is there at the next opening, and so is `word`. Rows of hours that ended by `sealS` are written in their final
   * form; what comes of such an hour later is written beside it, as a revision. Returns of how many hours there was something to write.
   */
  save(word: string, sealS: number): Promise<number>;
  /** Folds seconds to minutes and merges small files; forgets what is older than it is kept by a second time, which does not jump. */
  tidy(nowS: number, retainedS: number): Promise<void>;
  figures(): Promise<StoreFigures>;
  close(): Promise<void>;
}

export interface StoreFigures {
  /** Rows that are not sealed. */
  readonly hotRows: number;
  readonly files: number;
  readonly fileBytes: number;
}

export interface Exporter {
  /** Writes all rows of the hours in between as a file, and returns its path; who asked removes it. */
  export(form: 'csv' | 'ndjson' | 'parquet', fromS: number, toS: number): Promise<string>;
}
