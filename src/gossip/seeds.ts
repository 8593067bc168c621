/** Where the first peers are found, and again for ever. */

export interface Seeds {
  /** Whether an answer names everybody: then who is not named is gone, and who is named is expected. A headless service does; a list of some does not. */
  readonly isComplete: boolean;
  /** What is asked, for people: a name, a file, or the addresses of a list. */
  readonly asked?: readonly string[];
  /** One look. */
  look(done: Looked): void;
}

/** Addresses `host:port`; undefined: no answer, and why. Called once. */
export type Looked = (addresses: readonly string[] | undefined, cause?: string) => void;

/** Of one answer: as many as members can be known. Further ones are passed over. */
export const SEEDS_MAX = 4096;

/** Named in the log; a list may have thousands. */
const NAMED_MAX = 5;

/** A list that never changes. */
export function staticSeeds(addresses: readonly string[], isComplete = false): Seeds {
  return { isComplete, asked: addresses, look: (done) => done(addresses.slice(0, SEEDS_MAX)) };
}

/** `a:1, b:1 and 3 more`. */
export function seedsText({ asked = [] }: Seeds): string {
  const more = asked.length - NAMED_MAX;
  return `${asked.slice(0, NAMED_MAX).join(', ')}${more > 0 ? ` and ${more} more` : ''}`;
}
