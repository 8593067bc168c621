// hot path
/**
 * The fields of a head as stages see them, over the bytes they came as: a string is made only of what someone asks for, and removing a
 * field is a mark that it is not copied. Names that the data path knows are found by number.
 *
 *   table      [ kept | kept | not kept | kept … ]      what came
 *   appended   [ name, value, … ]                       what was added here
 *
 * Fields about this hop are not seen: the table does not keep them. Content-Length is seen, though it is written anew.
 */
import { FieldTable } from './field-table.ts';
import type { Headers } from './headers.ts';
import { type KnownName, knownId, SUSPECT } from './known-fields.ts';
import { type Span, span } from './span.ts';

interface Sought {
  /** Number of a known name, or -1. */
  readonly id: number;
  readonly bytes: Buffer;
}

/** Names come from our code and from the boot file: dozens. */
const SOUGHT_MAX = 256;
const sought = new Map<string, Sought>();
const CONTENT_LENGTH = knownId('content-length');
const NO_FIELDS = new FieldTable(0);
const NOTHING: readonly string[] = [];
const NONE = -1;
const MANY = -2;

function seek(name: string): Sought {
  let found = sought.get(name);
  if (found === undefined) {
    found = { id: knownId(name as KnownName), bytes: Buffer.from(name, 'latin1') };
    if (sought.size < SOUGHT_MAX) sought.set(name, found);
  }
  return found;
}

export class ByteHeaders implements Headers {
  #table: FieldTable;
  /** The table's; once this is cut off from it, its own or none. */
  #appended: string[] | undefined;

  constructor(table: FieldTable) {
    this.#table = table;
    this.#appended = table.appended;
  }

  /** The table is about to be another message's: nothing of it is seen through this any more, nor added to it. */
  detach(): void {
    this.#table = NO_FIELDS;
    this.#appended = undefined;
  }

  /** Name and value alternating, in the order they were added. */
  get appended(): readonly string[] {
    return this.#appended ?? NOTHING;
  }

  get hasSuspect(): boolean {
    return this.#table.hasSuspect;
  }

  get count(): number {
    let count = this.appended.length >> 1;
    for (let i = 0; i < this.#table.count; i++) if (this.#isSeen(i)) count++;
    return count;
  }

  get names(): string[] {
    return this.raw.filter((_, at) => at % 2 === 0).map((name) => name.toLowerCase());
  }

  get raw(): string[] {
    const raw: string[] = [];
    for (let i = 0; i < this.#table.count; i++)
      if (this.#isSeen(i)) raw.push(this.#table.name(i), this.#table.value(i));
    return raw.concat(this.appended);
  }

  first(name: string): string | undefined {
    const at = this.#find(seek(name), 0);
    return at === -1 ? this.#appendedAfter(name, 0) : this.#table.value(at);
  }

  only(name: string): string | undefined | null {
    const at = this.#findOnly(name);
    return at >= 0 ? this.#table.value(at) : at === MANY ? null : this.#onlyAppended(name);
  }

  onlySpan(name: string): Span | undefined | null {
    const table = this.#table;
    const at = this.#findOnly(name);
    if (at >= 0) return span.at(table.bytes, table.valueFrom(at), table.valueTo(at));
    const value = at === MANY ? null : this.#onlyAppended(name);
    return value === undefined || value === null ? value : span.of(value);
  }

  all(name: string): string[] {
    const which = seek(name);
    const values: string[] = [];
    for (let at = this.#find(which, 0); at !== -1; at = this.#find(which, at + 1)) values.push(this.#table.value(at));
    const { appended } = this;
    for (let i = 0; i < appended.length; i += 2)
      if (isCalled(appended[i] as string, name)) values.push(appended[i + 1] as string);
    return values;
  }

  has(name: string): boolean {
    return this.#find(seek(name), 0) !== -1 || this.#appendedAfter(name, 0) !== undefined;
  }

  append(name: string, value: string): void {
    this.#appended ??= [];
    this.#appended.push(name, value);
  }

  remove(name: string): number {
    const which = seek(name);
    let removed = 0;
    for (let at = this.#find(which, 0); at !== -1; at = this.#find(which, at + 1)) {
      // It is written from the framing, whatever stages think of it.
      if (this.#table.kept[at] === 0) continue;
      this.#table.drop(at);
      removed++;
    }
    return this.#appendedAfter(name, 0) === undefined ? removed : removed + this.#removeNamed(name);
  }

  removeWhere(doomed: (name: string, value: string) => boolean): number {
    const table = this.#table;
    let removed = 0;
    for (let i = 0; i < table.count; i++) {
      if (table.kept[i] === 0 || !doomed(table.name(i).toLowerCase(), table.value(i))) continue;
      table.drop(i);
      removed++;
    }
    return removed + this.#removeAppended(doomed);
  }

  removeSuspects(doomed: (name: string) => boolean): number {
    const table = this.#table;
    let removed = 0;
    for (let i = 0; i < table.count; i++) {
      if (table.kinds[i] !== SUSPECT || table.kept[i] === 0 || !doomed(table.name(i).toLowerCase())) continue;
      table.drop(i);
      removed++;
    }
    return removed + this.#removeAppended(doomed);
  }

  #isSeen(i: number): boolean {
    return this.#table.kept[i] === 1 || this.#table.kinds[i] === CONTENT_LENGTH;
  }

  /** The first field of the name from `from` on that is seen, or -1. */
  #find({ id, bytes }: Sought, from: number): number {
    const table = this.#table;
    if (id > 0) {
      const first = table.first(id);
      if (first === -1) return -1;
      for (let i = Math.max(first, from); i < table.count; i++) if (table.kinds[i] === id && this.#isSeen(i)) return i;
      return -1;
    }
    let at = table.find(bytes, from);
    while (at !== -1 && !this.#isSeen(at)) at = table.find(bytes, at + 1);
    return at;
  }

  /** The only field of the name in the table; `MANY`, or `NONE` there. */
  #findOnly(name: string): number {
    const which = seek(name);
    const at = this.#find(which, 0);
    if (at === -1) return NONE;
    return this.#find(which, at + 1) === -1 && this.#appendedAfter(name, 0) === undefined ? at : MANY;
  }

  #appendedAfter(name: string, from: number): string | undefined {
    const { appended } = this;
    for (let i = from; i < appended.length; i += 2) if (isCalled(appended[i] as string, name)) return appended[i + 1];
    return undefined;
  }

  #onlyAppended(name: string): string | undefined | null {
    if (this.appended.length === 0) return undefined;
    const values = this.all(name);
    return values.length > 1 ? null : values[0];
  }

  /** Apart, so that a name that nobody added makes no closure. */
  #removeNamed(name: string): number {
    return this.#removeAppended((each) => each === name);
  }

  #removeAppended(doomed: (name: string, value: string) => boolean): number {
    const appended = this.#appended;
    if (appended === undefined) return 0;
    let kept = 0;
    for (let i = 0; i < appended.length; i += 2) {
      const [name, value] = [appended[i] as string, appended[i + 1] as string];
      if (doomed(name.toLowerCase(), value)) continue;
      appended[kept++] = name;
      appended[kept++] = value;
    }
    const removed = (appended.length - kept) >> 1;
    appended.length = kept;
    return removed;
  }
}

/** In whatever case. Most are told apart by their length: lower case is a string to make. */
function isCalled(appended: string, name: string): boolean {
  return appended.length === name.length && appended.toLowerCase() === name;
}
