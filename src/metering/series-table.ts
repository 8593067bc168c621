// hot path
/**
 * Numbers for series: the bytes of a record's key and the meter behind it. Found by their bytes, without making text of them.
 *
 *   slots   [ · | 3 | · | 1 | … ]      FNV-1a of the bytes, linear probing, at most half full
 *   series  0: bytes  1: bytes  …      from 0 on, in the order of their coming
 *
 * Bound: `capacity` series; whoever adds asks `hasRoom` first.
 */
const INITIAL_SLOTS = 1024;

export class SeriesTable {
  readonly #capacity: number;
  #slots = new Int32Array(INITIAL_SLOTS).fill(-1);
  #hashes = new Uint32Array(INITIAL_SLOTS / 2);
  readonly #series: Buffer[] = [];
  /** Of all series. */
  bytesTotal = 0;

  constructor(capacity: number) {
    this.#capacity = capacity;
  }

  get size(): number {
    return this.#series.length;
  }

  /** Whether so many more have room for certain. */
  hasRoom(series: number): boolean {
    return this.#series.length + series <= this.#capacity;
  }

  bytes(number: number): Buffer {
    return this.#series[number] as Buffer;
  }

  /** Of the key alone, where no meter of the application's is counted. */
  numberOf(bytes: Uint8Array, from: number, to: number): number {
    return this.#find(bytes, from, to, '');
  }

  numberOfMeter(bytes: Uint8Array, from: number, to: number, meter: string): number {
    return this.#find(bytes, from, to, meter);
  }

  clear(): void {
    this.#slots.fill(-1);
    this.#series.length = 0;
    this.bytesTotal = 0;
  }

  #find(bytes: Uint8Array, from: number, to: number, meter: string): number {
    let hash = 0x811c_9dc5;
    for (let i = from; i < to; i++) hash = Math.imul(hash ^ (bytes[i] as number), 0x0100_0193);
    for (let i = 0; i < meter.length; i++) hash = Math.imul(hash ^ meter.charCodeAt(i), 0x0100_0193);
    hash >>>= 0;
    const mask = this.#slots.length - 1;
    for (let slot = (hash ^ (hash >>> 15)) & mask; ; slot = (slot + 1) & mask) {
      const number = this.#slots[slot] as number;
      if (number === -1) return this.#add(slot, hash, bytes, from, to, meter);
      if (this.#hashes[number] === hash && isSame(this.#series[number] as Buffer, bytes, from, to, meter))
        return number;
    }
  }

  #add(slot: number, hash: number, bytes: Uint8Array, from: number, to: number, meter: string): number {
    const number = this.#series.length;
    const series = Buffer.allocUnsafe(to - from + 1 + meter.length);
    series.set(bytes.subarray(from, to));
    series[to - from] = meter.length;
    series.write(meter, to - from + 1, 'latin1');
    this.#slots[slot] = number;
    this.#hashes[number] = hash;
    this.#series.push(series);
    this.bytesTotal += series.length;
    if (this.#series.length * 2 >= this.#slots.length) this.#grow();
    return number;
  }

  #grow(): void {
    const slots = new Int32Array(this.#slots.length * 2).fill(-1);
    const hashes = new Uint32Array(slots.length / 2);
    hashes.set(this.#hashes);
    const mask = slots.length - 1;
    for (let number = 0; number < this.#series.length; number++) {
      const hash = hashes[number] as number;
      let slot = (hash ^ (hash >>> 15)) & mask;
      while (slots[slot] !== -1) slot = (slot + 1) & mask;
      slots[slot] = number;
    }
    this.#slots = slots;
    this.#hashes = hashes;
  }
}

/** Whether the series is that key and that meter. */
function isSame(series: Buffer, bytes: Uint8Array, from: number, to: number, meter: string): boolean {
  const length = to - from;
  if (series.length !== length + 1 + meter.length) return false;
  for (let i = 0; i < length; i++) if (series[i] !== bytes[from + i]) return false;
  for (let i = 0; i < meter.length; i++) if (series[length + 1 + i] !== meter.charCodeAt(i)) return false;
  return true;
}
