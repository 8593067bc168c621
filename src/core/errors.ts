/**
 * Errors name the place and the remedy. A `ReeveError` is for the operator: a broken file, flag or start.
 * The data path never throws for what a client sent; it returns a `Reply` (see pipeline).
 */

/** Where an operator must look: `tenants/eu.yaml:214:9`, `--port`, `REEVE_PORT`. */
export type Place = string;

export class ReeveError extends Error {
  /** Stable, kebab-case, listed in docs/errors.md; a retired code is never used again. */
  readonly code: string;
  readonly place: Place | undefined;
  readonly remedy: string | undefined;

  constructor(code: string, message: string, facts: { place?: Place; remedy?: string; cause?: unknown } = {}) {
    super(message, facts.cause === undefined ? undefined : { cause: facts.cause });
    this.name = 'ReeveError';
    this.code = code;
    this.place = facts.place;
    this.remedy = facts.remedy;
  }

  /** `place message (remedy)`, the one line an operator reads. What others wrote may end in a mark of its own: it gives way to the remedy. */
  override toString(): string {
    const place = this.place === undefined ? '' : `${this.place} `;
    if (this.remedy === undefined) return `${place}${this.message}`;
    return `${place}${this.message.replace(/[.:]$/, '')} (${this.remedy})`;
  }
}
