import type { Headers } from './headers.ts';
import { type Span, span } from './span.ts';

/**
 * The header fields of one message as they came: order, case and duplicates preserved.
 *
 *   raw    [ 'Host', 'a.example', 'X-Id', '1', 'x-id', '2' ]     name, value, name, value
 *   names  [ 'host',              'x-id',      'x-id'      ]     lower case, one per pair, same order
 *
 * Looking up walks `names`: requests have few headers, and a walk keeps duplicates visible where a map would
 * join or drop them (a joined duplicate is how identities get forged).
 */
export class HeaderList implements Headers {
  readonly raw: string[];
  readonly names: string[];

  /** Takes over `raw`, an array of alternating names and values. */
  constructor(raw: string[]) {
    this.raw = raw;
    this.names = new Array(raw.length >> 1);
    for (let i = 0; i < raw.length; i += 2) this.names[i >> 1] = (raw[i] as string).toLowerCase();
  }

  /** How many fields, duplicates counted. */
  get count(): number {
    return this.names.length;
  }

  /** The value of the first field of this lower-case name. */
  first(name: string): string | undefined {
    const at = this.names.indexOf(name);
    return at === -1 ? undefined : this.raw[2 * at + 1];
  }

  /** Every protected name begins with `x` or `t`, and folding changes no letter. */
  get hasSuspect(): boolean {
    for (let i = 0; i < this.names.length; i++) {
      const letter = (this.names[i] as string).charCodeAt(0);
      if (letter === 120 || letter === 116) return true;
    }
    return false;
  }

  only(name: string): string | undefined | null {
    const at = this.names.indexOf(name);
    if (at === -1) return undefined;
    return this.names.includes(name, at + 1) ? null : this.raw[2 * at + 1];
  }

  onlySpan(name: string): Span | undefined | null {
    const value = this.only(name);
    return value === undefined || value === null ? value : span.of(value);
  }

  /** Every value under this lower-case name, in order. */
  all(name: string): string[] {
    const values: string[] = [];
    for (let at = this.names.indexOf(name); at !== -1; at = this.names.indexOf(name, at + 1)) {
      values.push(this.raw[2 * at + 1] as string);
    }
    return values;
  }

  has(name: string): boolean {
    return this.names.includes(name);
  }

  /** Appends a field. */
  append(name: string, value: string): void {
    this.raw.push(name, value);
    this.names.push(name.toLowerCase());
  }

  /** Removes every field of this lower-case name; says how many went. */
  remove(name: string): number {
    return this.removeWhere((each) => each === name);
  }

  removeSuspects(doomed: (name: string) => boolean): number {
    for (let i = 0; i < this.names.length; i++)
      if (doomed(this.names[i] as string)) return this.removeWhere((name) => doomed(name));
    return 0;
  }

  /** Removes the fields for which `doomed` is true of the lower-case name; says how many went. */
  removeWhere(doomed: (name: string, value: string) => boolean): number {
    const { raw, names } = this;
    let kept = 0;
    for (let at = 0; at < names.length; at++) {
      if (doomed(names[at] as string, raw[2 * at + 1] as string)) continue;
      raw[2 * kept] = raw[2 * at] as string;
      raw[2 * kept + 1] = raw[2 * at + 1] as string;
      names[kept++] = names[at] as string;
    }
    const removed = names.length - kept;
    names.length = kept;
    raw.length = 2 * kept;
    return removed;
  }
}
