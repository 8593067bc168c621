// hot path
/**
 * Of many entries the few with the lowest versions, in order: a heap of bounded size with the highest on top, sorted in the end (heapsort,
 * Williams 1964). What fits into a frame is found in one look at all, and most are passed over by one comparison.
 */

export class Oldest {
  #max = 0;
  #size = 0;
  #versions: Float64Array = new Float64Array(0);
  #entries: Uint32Array = new Uint32Array(0);

  get size(): number {
    return this.#size;
  }

  version(at: number): number {
    return this.#versions[at] as number;
  }

  entry(at: number): number {
    return this.#entries[at] as number;
  }

  /** Empties it. At most `max` are kept. */
  begin(max: number): void {
    this.#max = max;
    this.#size = 0;
  }

  offer(version: number, entry: number): void {
    if (this.#size < this.#max) this.#push(version, entry);
    else if (this.#size > 0 && version < (this.#versions[0] as number)) this.#sink(version, entry, this.#size);
  }

  /** The lowest first; nothing can be offered after it. */
  sort(): void {
    for (let end = this.#size - 1; end > 0; end--) {
      const version = this.version(end);
      const entry = this.entry(end);
      this.#set(end, this.version(0), this.entry(0));
      this.#sink(version, entry, end);
    }
  }

  #push(version: number, entry: number): void {
    if (this.#size === this.#versions.length) this.#grow();
    let at = this.#size++;
    for (; at > 0; ) {
      const parent = (at - 1) >> 1;
      if (this.version(parent) >= version) break;
      this.#set(at, this.version(parent), this.entry(parent));
      at = parent;
    }
    this.#set(at, version, entry);
  }

  /** Instead of the one on top. */
  #sink(version: number, entry: number, size: number): void {
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= size) break;
      if (child + 1 < size && this.version(child + 1) > this.version(child)) child++;
      if (this.version(child) <= version) break;
      this.#set(at, this.version(child), this.entry(child));
      at = child;
    }
    this.#set(at, version, entry);
  }

  #set(at: number, version: number, entry: number): void {
    this.#versions[at] = version;
    this.#entries[at] = entry;
  }

  #grow(): void {
    const length = Math.max(64, this.#size * 2);
    const versions = new Float64Array(length);
    versions.set(this.#versions);
    const entries = new Uint32Array(length);
    entries.set(this.#entries);
    this.#versions = versions;
    this.#entries = entries;
  }
}
