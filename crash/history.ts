/** What the runner knows of a kind of history: a seed makes one, and it says what was broken. */
export interface Outcome {
  /** What no history may show; undefined: nothing was seen. */
  readonly violation: string | undefined;
  /** What happened in it, for the sums over all: `crashes`, `kills` … */
  readonly counts: Readonly<Record<string, number>>;
}

export interface HistoryKind {
  readonly name: string;
  readonly describe: string;
  /** The same seed, the same history. Does not throw. */
  run(seed: number): Promise<Outcome>;
}
