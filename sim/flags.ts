/** What is given on the command line. */

/** Of one flag. Throws a RangeError that names the flag and what it takes. */
export function wholeNumber(flag: string, text: string, least: number, most: number): number {
  const value = /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN;
  if (value >= least && value <= most) return value;
  const example = Math.min(most, Math.max(least, 20));
  throw new RangeError(
    `--${flag} takes a whole number from ${least} to ${most}, not ${text === '' ? 'nothing' : text}; say --${flag} ${example}, for example`,
  );
}

/** Sidecars of a fleet: as many as gossip knows. */
export const NODES_MOST = 4096;
export const SEEDS_MOST = 100_000;
/** Of 32 bits. */
export const SEED_MOST = 2 ** 32 - 1;
