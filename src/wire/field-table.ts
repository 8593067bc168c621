// hot path
/**
 * The field lines of one head, as offsets into its bytes: read in one pass, no string made until someone asks.
 *
 *   bytes     GET / HTTP/1.1␍␊Host: a␍␊X-Id: 17␍␊␍␊
 *             ↑ base          ↑   ↑ ↑↑  ↑            offsets are relative to `base`, so that a head may be moved
 *   offsets   [ nameFrom, nameTo, valueFrom, valueTo ] a field, then one `nameFrom` more: where the last empty line begins
 *   kinds     [ number of a known name | 0 | SUSPECT ]  a field
 *   kept      [ 1 to copy it to the next hop, else 0 ]  a field
 *   seen      bit n: the known name n occurs; `seenTwice`: it occurs again
 *   appended  [ name, value, … ]                        what was added here
 *
 * The line of field i reaches from its `nameFrom` to the `nameFrom` of field i + 1, so neighbours that are kept are copied as one run.
 * After `MORE` the table stands at the beginning of the line that was not complete and goes on there.
 */
import { empty } from '../core/index.ts';
import { CLASS, COLON, CR, equalsFolded, FOLDS, LF, SPACE, TAB, TOKEN, VALUE } from './bytes.ts';
import { COPIED, recognise, SUSPECT } from './known-fields.ts';

/** The bytes end before the head does. */
export const MORE = -1;
/** What stands there is no field line of RFC 9112 §5, or there are too many of them. */
export const BAD = -2;

const STRIDE = 4;
const NO_BYTES = Buffer.alloc(0);

export class FieldTable {
  bytes: Buffer = NO_BYTES;
  base = 0;
  count = 0;
  seen = 0;
  seenTwice = 0;
  /** A name that could be a protected one: see `SUSPECT`. Without it nobody need look at names. */
  hasSuspect = false;
  /** White space about a value beyond one space before it. */
  hasOddSpace = false;
  readonly kinds: Uint8Array;
  readonly kept: Uint8Array;
  /** Of this head: `begin` empties it. */
  readonly appended: string[] = [];
  readonly #offsets: Int32Array;
  readonly #first = new Uint16Array(32);
  readonly #fieldsMax: number;
  /** Relative offset of the next line. */
  #next = 0;

  /** @param fieldsMax at most 65,535; the table takes 18 bytes a field and never grows. */
  constructor(fieldsMax: number) {
    this.#fieldsMax = fieldsMax;
    this.kinds = new Uint8Array(fieldsMax);
    this.kept = new Uint8Array(fieldsMax);
    this.#offsets = new Int32Array(STRIDE * fieldsMax + 1);
  }

  /** Begins anew with the lines that stand `first` bytes behind the beginning of the head. */
  begin(first: number): void {
    this.count = 0;
    this.seen = 0;
    this.seenTwice = 0;
    this.hasSuspect = false;
    this.hasOddSpace = false;
    empty(this.appended);
    this.#next = first;
  }

  /** Where the bytes of the head are now: after they were copied elsewhere, or read into another buffer. */
  moveTo(bytes: Buffer, base: number): void {
    this.bytes = bytes;
    this.base = base;
  }

  /** Reads lines up to and with the empty one. Says how many bytes the head has, or `MORE` or `BAD`. */
  scan(to: number): number {
    const { bytes, base } = this;
    let at = base + this.#next;
    while (at < to && bytes[at] !== CR) {
      at = this.#line(bytes, at, to);
      if (at < 0) return at;
      this.#next = at - base;
    }
    // RFC 9112 §2.2: a bare CR is no line's end.
    if (at + 1 < to) return bytes[at + 1] === LF ? this.#end(at) : BAD;
    return MORE;
  }

  #end(at: number): number {
    this.#offsets[STRIDE * this.count] = at - this.base;
    return at + 2 - this.base;
  }

  /** One line from `from`, which is below `to`. Says where the next begins. */
  #line(bytes: Buffer, from: number, to: number): number {
    let bits = 0;
    let at = from;
    for (; at < to; at++) {
      const byteClass = CLASS[bytes[at] as number] as number;
      // A space before the colon ends up here and is no colon: RFC 9112 §5.1. So does a folded line: §5.2.
      if ((byteClass & TOKEN) === 0) break;
      bits |= byteClass;
    }
    if (at === to) return MORE;
    if (bytes[at] !== COLON || at === from || this.count === this.#fieldsMax) return BAD;
    const nameTo = at++;
    if (at < to && bytes[at] === SPACE) at++;
    const valueFrom = at;
    while (at < to && ((CLASS[bytes[at] as number] as number) & VALUE) !== 0) at++;
    if (at === to) return MORE;
    if (bytes[at] !== CR) return BAD;
    if (at + 1 === to) return MORE;
    if (bytes[at + 1] !== LF) return BAD;
    this.#note(from, nameTo, valueFrom, at, (bits & FOLDS) !== 0);
    return at + 2;
  }

  #note(nameFrom: number, nameTo: number, valueFrom: number, valueTo: number, folds: boolean): void {
    const { bytes, base, count } = this;
    const offsets = this.#offsets;
    const at = STRIDE * count;
    offsets[at] = nameFrom - base;
    offsets[at + 1] = nameTo - base;
    offsets[at + 2] = valueFrom - base;
    offsets[at + 3] = valueTo - base;
    if (valueTo > valueFrom && (isBlank(bytes[valueFrom] as number) || isBlank(bytes[valueTo - 1] as number)))
      this.#trim(at + 2);
    const kind = recognise(bytes, nameFrom, nameTo);
    if (kind !== 0) this.#see(kind);
    else if (folds || isSuspectLetter(bytes[nameFrom] as number)) return this.#suspect();
    this.kinds[count] = kind;
    this.kept[count] = COPIED[kind] as number;
    this.count = count + 1;
  }

  #suspect(): void {
    this.hasSuspect = true;
    this.kinds[this.count] = SUSPECT;
    this.kept[this.count++] = 1;
  }

  #see(kind: number): void {
    const bit = 1 << kind;
    if ((this.seen & bit) !== 0) this.seenTwice |= bit;
    else this.#first[kind] = this.count;
    this.seen |= bit;
  }

  /** RFC 9110 §5.5: white space about a value is not of it. */
  #trim(at: number): void {
    const { bytes, base } = this;
    const offsets = this.#offsets;
    this.hasOddSpace = true;
    let from = base + (offsets[at] as number);
    let to = base + (offsets[at + 1] as number);
    while (from < to && isBlank(bytes[from] as number)) from++;
    while (from < to && isBlank(bytes[to - 1] as number)) to--;
    offsets[at] = from - base;
    offsets[at + 1] = to - base;
  }

  /** The first field of a known name, or -1. */
  first(known: number): number {
    return (this.seen & (1 << known)) === 0 ? -1 : (this.#first[known] as number);
  }

  /** Whether nothing stands about the value of field `i` but one space before it, or not even that. */
  isTight(i: number): boolean {
    const before = this.valueFrom(i) - this.nameTo(i);
    const isLed = before === 1 || (before === 2 && this.bytes[this.valueFrom(i) - 1] === SPACE);
    return isLed && this.nameFrom(i + 1) - this.valueTo(i) === 2;
  }

  /** The first field from `from` on whose name is `lower` (lower-case bytes), or -1. For names that configuration chooses. */
  find(lower: Uint8Array, from = 0): number {
    for (let i = from; i < this.count; i++)
      if (equalsFolded(this.bytes, this.nameFrom(i), this.nameTo(i), lower)) return i;
    return -1;
  }

  /** Does not copy field `i` to the next hop. */
  drop(i: number): void {
    this.kept[i] = 0;
  }

  /** Where the line of field `i` begins, in `bytes`; with `i` the count of fields, where the last line ends. */
  nameFrom(i: number): number {
    return this.base + (this.#offsets[STRIDE * i] as number);
  }

  nameTo(i: number): number {
    return this.base + (this.#offsets[STRIDE * i + 1] as number);
  }

  valueFrom(i: number): number {
    return this.base + (this.#offsets[STRIDE * i + 2] as number);
  }

  valueTo(i: number): number {
    return this.base + (this.#offsets[STRIDE * i + 3] as number);
  }

  /** Makes a string. */
  name(i: number): string {
    return this.bytes.toString('latin1', this.nameFrom(i), this.nameTo(i));
  }

  /** Makes a string; obs-text is latin-1 (RFC 9110 §5.5). */
  value(i: number): string {
    return this.bytes.toString('latin1', this.valueFrom(i), this.valueTo(i));
  }

  /** Names and values alternating, as `HeaderList` takes them: of the kept fields only, or of all. */
  pairs(keptOnly: boolean): string[] {
    const pairs: string[] = [];
    for (let i = 0; i < this.count; i++) if (!keptOnly || this.kept[i] === 1) pairs.push(this.name(i), this.value(i));
    return pairs;
  }
}

function isBlank(byte: number): boolean {
  return byte === SPACE || byte === TAB;
}

/** Every protected name begins with `x` or `t`, and folding changes no letter: see identity/protected-names.ts. */
function isSuspectLetter(byte: number): boolean {
  const lower = byte | 32;
  return lower === 120 || lower === 116;
}
