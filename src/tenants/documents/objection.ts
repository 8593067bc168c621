/** A problem that only the meaning of a document shows. */
import type { Problem } from '../findings.ts';

/** `path` in the document. */
export interface Objection extends Problem {
  readonly severity: 'error' | 'warning';
}
