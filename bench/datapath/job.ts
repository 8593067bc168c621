/** What every system is asked to do in a comparison. */

/**
 * Work levels; each holds the ones before it.
 * - `W0` passes bytes on
 * - `W1` takes the tenant from a header, removes what a client forged, adds the tenant header
 * - `W2` takes the tenant from a signed token instead
 * - `W3` limits each of 10,000 tenants
 * - `W4` writes a record of each request, and has metrics
 * - `W5` counts by tenant
 */
export type Level = 'W0' | 'W1' | 'W2' | 'W3' | 'W4' | 'W5';

export type Algorithm = 'HS256' | 'RS256';

export interface Job {
  readonly level: Level;
  /** Of no meaning below W2. */
  readonly algorithm: Algorithm;
  /** 1 favours whoever remembers verified tokens. */
  readonly tokensPerTenant: number;
}

export const levels: readonly Level[] = ['W0', 'W1', 'W2', 'W3', 'W4', 'W5'];

export const isAtLeast = (level: Level, least: Level): boolean => level >= least;

export const jobName = ({ level, algorithm, tokensPerTenant }: Job): string =>
  `${level}${isAtLeast(level, 'W2') ? ` ${algorithm}` : ''}${tokensPerTenant > 1 ? ` ${tokensPerTenant} tokens a tenant` : ''}`;
