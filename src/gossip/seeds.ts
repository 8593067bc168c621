/** Where the first peers are found, and again for ever. */

export interface Seeds {
  /** Whether an answer names everybody: then who is not named is gone, and who is named is expected. A headless service does; a list of some does not. */
  readonly isComplete: boolean;
  /** One look. Addresses `host:port`; undefined: no answer. `done` is called once. */
  look(done: (addresses: readonly string[] | undefined) => void): void;
}

/** Of one answer: as many as members can be known. Further ones are passed over. */
export const SEEDS_MAX = 4096;

/** A list that never changes. */
export function staticSeeds(addresses: readonly string[], isComplete = false): Seeds {
  return { isComplete, look: (done) => done(addresses.slice(0, SEEDS_MAX)) };
}
