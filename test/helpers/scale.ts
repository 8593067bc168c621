/**
 * How much of a guarantee is tried: `GUARANTEE_SCALE=10 npm test -- test/guarantees/g16-idle-connections.test.ts` opens ten times
 * as many connections. 1 is what `npm test` runs on two cores; figures name the numbers they were reached with.
 */
const scale = Number(process.env['GUARANTEE_SCALE'] ?? '1');

export const scaled = (count: number): number => Math.max(1, Math.round(count * (Number.isFinite(scale) ? scale : 1)));

/** A generator whose seed is known: the same numbers in every run. */
export function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}
