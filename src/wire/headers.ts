/**
 * The fields of one message as stages see them, whatever they are kept in: strings (`HeaderList`, the general engine) or the bytes they came
 * as (`ByteHeaders`, the fast engine). Names that are asked for are in lower case.
 */
import type { Span } from './span.ts';

export interface Headers {
  /** How many fields, duplicates counted. */
  readonly count: number;
  /** One per field, lower case, in order. Over bytes this makes a string a field: ask for names where that will do. */
  readonly names: readonly string[];
  /** Name, value, name, value as they came. As dear as `names`. */
  readonly raw: readonly string[];
  /** False when no field can have a protected name in any spelling: then nobody need look. */
  readonly hasSuspect: boolean;
  /** The value of the first field of the name. */
  first(name: string): string | undefined;
  /** The value when there is exactly one field of the name; null when there are more: whose is the one that counts? */
  only(name: string): string | undefined | null;
  /** The same, where it lies: good until the next is asked for. */
  onlySpan(name: string): Span | undefined | null;
  /** Every value under the name, in order. */
  all(name: string): string[];
  has(name: string): boolean;
  append(name: string, value: string): void;
  /** Removes every field of the name; says how many went. */
  remove(name: string): number;
  /** Removes the fields for which `doomed` is true of the lower-case name; says how many went. */
  removeWhere(doomed: (name: string, value: string) => boolean): number;
  /** The same where `doomed` is true of protected names only: fields that are no suspects are not looked at. */
  removeSuspects(doomed: (name: string) => boolean): number;
}
