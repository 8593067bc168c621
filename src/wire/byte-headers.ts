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
  #appended: string[] | undefined;

  constructor(table: FieldTable) {
    this.#table = table;
    this.#appended = undefined;
  }

  /** The bytes are about to be another message's: nothing of them is seen through this any more. */
  detach(): void {
    this.#table = NO_FIELDS;
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
    const which = seek(name);
    const at = this.#find(which, 0);
    if (at === -1) return this.#appended === undefined ? undefined : this.#onlyAppended(name);
    if (this.#find(which, at + 1) !== -1 || this.#appendedAfter(name, 0) !== undefined) return null;
    return this.#table.value(at);
  }

  all(name: string): string[] {
    const which = seek(name);
    const values: string[] = [];
    for (let at = this.#find(which, 0); at !== -1; at = this.#find(which, at + 1)) values.push(this.#table.value(at));
    const { appended } = this;
    for (let i = 0; i < appended.length; i += 2)
      if ((appended[i] as string).toLowerCase() === name) values.push(appended[i + 1] as string);
    return values;
  }

  has(name: string): boolean {
    return this.#find(seek(name), 0) !== -1 || this.#appendedAfter(name, 0) !== undefined;
  }

  append(name: string, value: string): void {
    const appended = this.#appended;
    // As long as it is: a list that grows takes room for twenty.
    if (appended === undefined) this.#appended = [name, value];
    else if (appended.length === 2) this.#appended = [appended[0] as string, appended[1] as string, name, value];
    else appended.push(name, value);
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
    return this.#appended === undefined ? removed : removed + this.#removeAppended((each) => each === name);
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

  #appendedAfter(name: string, from: number): string | undefined {
    const { appended } = this;
    for (let i = from; i < appended.length; i += 2)
      if ((appended[i] as string).toLowerCase() === name) return appended[i + 1];
    return undefined;
  }

  #onlyAppended(name: string): string | undefined | null {
    const values = this.all(name);
    return values.length > 1 ? null : values[0];
  }

  #removeAppended(doomed: (name: string, value: string) => boolean): number {
    const { appended } = this;
    if (appended.length === 0) return 0;
    const kept: string[] = [];
    for (let i = 0; i < appended.length; i += 2) {
      const [name, value] = [appended[i] as string, appended[i + 1] as string];
      if (!doomed(name.toLowerCase(), value)) kept.push(name, value);
    }
    this.#appended = kept;
    return (appended.length - kept.length) >> 1;
  }
}
