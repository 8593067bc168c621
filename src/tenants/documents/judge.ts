/** Whether a value is a document of its kind: its schema, and what a schema cannot say. */
import { nearest } from '../../core/index.ts';
import { type Problem, problemsOf } from '../findings.ts';
import type { SchemaError, Validator } from '../generated/validators.js';
import type { Kind } from '../schema.ts';
import { objectionsTo } from './meaning.ts';
import type { Objection } from './objection.ts';

/** Those of the kinds that may stand there. */
export type Validators = Readonly<Partial<Record<Kind, Validator>>>;

/** What the schema of its kind, and then its meaning, say against a value. */
export function problemsIn(value: unknown, validators: Validators): readonly Objection[] {
  const asErrors = (problems: readonly Problem[]): Objection[] =>
    problems.map((problem) => ({ ...problem, severity: 'error' }));
  const kind = (value as { kind?: unknown } | null)?.kind as Kind;
  const validator = Object.hasOwn(validators, kind) ? validators[kind] : undefined;
  if (validator === undefined) return asErrors([kindProblem(value, kind, Object.keys(validators))]);
  return validator(value)
    ? objectionsTo(kind, value as never)
    : asErrors(problemsOf(validator.errors as readonly SchemaError[]));
}

function kindProblem(document: unknown, kind: unknown, kinds: readonly string[]): Problem {
  const known = kinds.join(', ');
  if (typeof document !== 'object' || document === null || Array.isArray(document)) {
    return {
      path: [],
      isKey: false,
      message: 'expected a document of keys and values',
      remedy: 'begin with apiVersion: reeve.dev/v1 and kind',
    };
  }
  if (kind === undefined)
    return { path: [], isKey: true, message: 'kind is missing', remedy: `add kind, one of ${known}` };
  if (kind === 'Sidecar')
    return {
      path: ['kind'],
      isKey: false,
      message: 'a boot file is no document of the tenancy',
      remedy: 'name the tenancy directory alone, such as config/tenancy, or keep the boot file outside it',
    };
  const near = nearest(String(kind), kinds);
  return {
    path: ['kind'],
    isKey: false,
    message: `expected a kind, got ${String(JSON.stringify(kind)).slice(0, 80)}`,
    remedy: near === undefined ? `known here: ${known}` : `did you mean ${near}?`,
  };
}
