/** One line of `reeve check`. */

export type Result = 'success' | 'warning' | 'error';

export interface Check {
  readonly description: string;
  readonly result: Result;
  readonly error?: string;
  readonly hint?: string;
}

export const good = (description: string): Check => ({ description, result: 'success' });

export const bad = (description: string, error: string, hint: string, result: Result = 'error'): Check => ({
  description,
  result,
  error,
  hint,
});
