/** Problems of the boot configuration, wherever it was given. */
import type { Problem } from '../findings.ts';
import type { Finding } from '../model.ts';

/** What the file says, or would say if there were one, and where. */
export interface BootFile {
  readonly value: unknown;
  readonly place: (problem: Problem) => Omit<Finding, 'severity'>;
}

export function bootFinding(file: string, path: string, message: string, remedy: string | undefined): Finding {
  return { severity: 'error', file, line: 0, column: 0, kind: undefined, name: undefined, path, message, remedy };
}
