/**
 * Answers by tenant and place (host, port and target), in bounded memory. Nobody sees another's: who asks names the tenant first, and each
 * tenant has a shelf of its own.
 *
 *   tenant ─▶ shelf ─▶ [ place: answers ] … [ place: answers ]     oldest first; found is newest again
 *               ▲ hand goes round the shelves
 *
 * Room is made first of what is past use, then by who asks for it, as far as he has more than his fair part (all there is, by the tenants
 * that keep something), else by somebody who has more than his. Who has no more than his part loses nothing to anybody.
 *
 * Bounds: BYTES_MAX in all, VARIANTS_MAX answers a place. Work to keep one: a step for each that goes, and a look at LOOK shelves, or LOOK_FULL
 * when all is full; where no room is found by then, it is not kept.
 */
import { type Answer, bytesOf } from './answer.ts';

/** 32 MiB: 500 of the largest, 16,000 of a kilobyte. */
export const BYTES_MAX: number = 32 * 1024 * 1024;
/** By what requests say: languages, encodings. */
export const VARIANTS_MAX = 4;
/** Two, so that what is past use is found faster than answers come. */
const LOOK = 2;
const LOOK_FULL = 32;

interface Kept {
  readonly answer: Answer;
  readonly bytes: number;
}

interface Shelf {
  readonly tenant: string;
  readonly places: Map<string, readonly Kept[]>;
  bytes: number;
  /** Where it stands among the shelves. */
  at: number;
}

export class AnswerStore {
  readonly #bytesMax: number;
  readonly #byTenant = new Map<string, Shelf>();
  readonly #shelves: Shelf[] = [];
  #hand = 0;
  #bytes = 0;
  #answers = 0;

  /** Another bound is for tests. */
  constructor(bytesMax: number = BYTES_MAX) {
    this.#bytesMax = bytesMax;
  }

  get answers(): number {
    return this.#answers;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Bytes each tenant that keeps something may have, whoever else comes. */
  get fairBytes(): number {
    return this.#bytesMax / Math.max(this.#shelves.length, 1);
  }

  /** Of one tenant. */
  sizeOf(tenant: string): { readonly answers: number; readonly bytes: number } {
    const shelf = this.#byTenant.get(tenant);
    let answers = 0;
    for (const kept of shelf?.places.values() ?? []) answers += kept.length;
    return { answers, bytes: shelf?.bytes ?? 0 };
  }

  /** The answer of the place that `suits`. It becomes the newest of its tenant. */
  find(tenant: string, place: string, suits: (answer: Answer) => boolean): Answer | undefined {
    const places = this.#byTenant.get(tenant)?.places;
    const kept = places?.get(place);
    if (places === undefined || kept === undefined) return undefined;
    const found = kept.find(({ answer }) => suits(answer));
    if (found === undefined) return undefined;
    places.delete(place);
    places.set(place, kept);
    return found.answer;
  }

  /** False when there is no room for it. Of the place it replaces the answer that was chosen by the same, else when there are too many the oldest. */
  keep(tenant: string, place: string, answer: Answer): boolean {
    const shelf = this.#byTenant.get(tenant) ?? this.#open(tenant);
    const before = shelf.places.get(place) ?? NONE;
    const others = before.filter((each) => !isOfSameChoice(each.answer, answer));
    const after = [...others.slice(1 - VARIANTS_MAX), { answer, bytes: bytesOf(answer, place) }];
    shelf.places.delete(place);
    shelf.places.set(place, after);
    this.#count(shelf, before, -1);
    this.#count(shelf, after, 1);
    for (let i = 0; i < LOOK; i++) if (!this.#dropPast(this.#atHand(), answer.at)) this.#hand++;
    if (this.#makeRoom(shelf, place, answer.at)) return true;
    this.#remove(shelf, place);
    return false;
  }

  /** What is there of the place is not the application's answer any more. */
  drop(tenant: string, place: string): void {
    const shelf = this.#byTenant.get(tenant);
    if (shelf !== undefined) this.#remove(shelf, place);
  }

  forget(tenant: string): void {
    const shelf = this.#byTenant.get(tenant);
    if (shelf === undefined) return;
    for (const place of [...shelf.places.keys()]) this.#remove(shelf, place);
  }

  #makeRoom(shelf: Shelf, place: string, now: number): boolean {
    let looks = LOOK_FULL;
    while (this.#bytes > this.#bytesMax) {
      if (shelf.bytes > this.fairBytes) {
        const oldest = oldestOf(shelf);
        if (oldest === place) return false;
        this.#remove(shelf, oldest);
        continue;
      }
      const other = this.#atHand();
      if (this.#dropPast(other, now)) continue;
      // It stays at who has too much, until that is gone.
      if (other.bytes > this.fairBytes) this.#remove(other, oldestOf(other));
      else if (looks-- === 0) return false;
      else this.#hand++;
    }
    return true;
  }

  #atHand(): Shelf {
    this.#hand %= this.#shelves.length;
    return this.#shelves[this.#hand] as Shelf;
  }

  /** Whether the oldest of the shelf was past use. What was just kept is not. */
  #dropPast(shelf: Shelf, now: number): boolean {
    const oldest = oldestOf(shelf);
    const isPast = (shelf.places.get(oldest) as readonly Kept[]).every(({ answer }) => answer.until <= now);
    if (isPast) this.#remove(shelf, oldest);
    return isPast;
  }

  #open(tenant: string): Shelf {
    const shelf = { tenant, places: new Map(), bytes: 0, at: this.#shelves.length };
    this.#byTenant.set(tenant, shelf);
    this.#shelves.push(shelf);
    return shelf;
  }

  /** A shelf without anything is none: the last takes its place among the shelves. */
  #remove(shelf: Shelf, place: string): void {
    const kept = shelf.places.get(place);
    if (kept === undefined) return;
    shelf.places.delete(place);
    this.#count(shelf, kept, -1);
    if (shelf.places.size > 0) return;
    this.#byTenant.delete(shelf.tenant);
    const last = this.#shelves.pop() as Shelf;
    if (last === shelf) return;
    this.#shelves[shelf.at] = last;
    last.at = shelf.at;
  }

  #count(shelf: Shelf, kept: readonly Kept[], sign: 1 | -1): void {
    for (const { bytes } of kept) {
      shelf.bytes += sign * bytes;
      this.#bytes += sign * bytes;
      this.#answers += sign;
    }
  }
}

const NONE: readonly Kept[] = [];

/** Of a shelf with something on it: every shelf there is. */
function oldestOf({ places }: Shelf): string {
  return places.keys().next().value as string;
}

function isOfSameChoice(a: Answer, b: Answer): boolean {
  return a.chosenBy === b.chosenBy && a.variations.join() === b.variations.join();
}
