// hot path
/** Rows in the order of their last change, each once: a list through arrays, so that a change costs a few numbers however many there are. */
import { enlarged, enlargedInts } from '../arrays.ts';

const NONE = -1;

export class ChangeList {
  /** Of the last change; 0 when there was none. */
  version = 0;
  /** By row: that of its last change, 0 for none, and its neighbours. */
  #version: Float64Array = new Float64Array(0);
  #older: Int32Array = new Int32Array(0);
  #newer: Int32Array = new Int32Array(0);
  #newest = NONE;
  #oldest = NONE;

  /** Room for so many rows. */
  grow(rows: number): void {
    this.#version = enlarged(this.#version, rows);
    this.#older = enlargedInts(this.#older, rows);
    this.#newer = enlargedInts(this.#newer, rows);
  }

  /** A row that is new is not in it. */
  begin(row: number): void {
    this.#version[row] = 0;
    this.#older[row] = NONE;
    this.#newer[row] = NONE;
  }

  versionOf(row: number): number {
    return this.#version[row] as number;
  }

  /** It becomes the newest. */
  touch(row: number): void {
    this.#version[row] = ++this.version;
    if (this.#newest === row) return;
    this.remove(row);
    this.#older[row] = this.#newest;
    if (this.#newest === NONE) this.#oldest = row;
    else this.#newer[this.#newest] = row;
    this.#newest = row;
  }

  /** Takes a row out, if it is in. */
  remove(row: number): void {
    const older = this.#older[row] as number;
    const newer = this.#newer[row] as number;
    if (older !== NONE) this.#newer[older] = newer;
    else if (this.#oldest === row) this.#oldest = newer;
    if (newer !== NONE) this.#older[newer] = older;
    else if (this.#newest === row) this.#newest = older;
    this.#older[row] = NONE;
    this.#newer[row] = NONE;
  }

  /** Those that changed after a version, the oldest change first, as they are now. */
  since(version: number): number[] {
    const rows: number[] = [];
    for (let row = this.#newest; row !== NONE && this.versionOf(row) > version; row = this.#older[row] as number)
      rows.push(row);
    return rows.reverse();
  }
}
