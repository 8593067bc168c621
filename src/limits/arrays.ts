/** Typed arrays that grow: a larger copy, with what was there. */

/** Of an array that grows by one now and then, the next length: a 32nd is empty at most, and what is there is copied 33 times in all. */
export function roomFor(count: number): number {
  return count + (count >> 5) + 8;
}

export function enlarged(array: Float64Array, length: number): Float64Array {
  const larger = new Float64Array(length);
  larger.set(array);
  return larger;
}

/** What is new holds `fill`. */
export function enlargedInts(array: Int32Array, length: number, fill = 0): Int32Array<ArrayBuffer> {
  const larger = new Int32Array(length).fill(fill);
  larger.set(array);
  return larger;
}

export function enlargedWords(array: Uint32Array, length: number): Uint32Array {
  const larger = new Uint32Array(length);
  larger.set(array);
  return larger;
}
