/**
 * Keys by which frames are sealed: the first seals, all open. Rotation without a gap: add the new key everywhere, make it the first everywhere,
 * remove the old one everywhere.
 */
import { createHash, timingSafeEqual } from 'node:crypto';

/** A key of the ring. The same object as long as the ring holds it: what is derived from it hangs on it. */
export interface RingKey {
  /** First byte of the SHA-256 of the key: says which one to try. */
  readonly id: number;
  readonly bytes: Uint8Array;
}

/** AES-256 takes 32 bytes; a shorter secret would be stretched, not strengthened. */
const KEY_BYTES = 32;
/** Two suffice for a rotation. */
const KEYS_MAX = 8;

export class Keyring {
  #keys: readonly RingKey[] = [];

  constructor(keys: readonly Uint8Array[]) {
    this.use(keys);
  }

  /** In force for the next frame; false when these are the keys it had. Throws a RangeError on a key that has not 32 bytes, or when there are none or more than 8. */
  use(keys: readonly Uint8Array[]): boolean {
    if (keys.length === 0 || keys.length > KEYS_MAX)
      throw new RangeError(`a keyring has 1 to ${KEYS_MAX} keys, got ${keys.length}`);
    const wrong = keys.find((key) => key.length !== KEY_BYTES);
    if (wrong !== undefined) throw new RangeError(`a key has ${KEY_BYTES} bytes, got one of ${wrong.length}`);
    const before = this.#keys;
    this.#keys = keys.map((key) => before.find((each) => timingSafeEqual(each.bytes, key)) ?? ringKey(key));
    return this.#keys.length !== before.length || this.#keys.some((each, i) => each !== before[i]);
  }

  /** The one that seals. */
  get first(): RingKey {
    return this.#keys[0] as RingKey;
  }

  /** Those of an id: one, hardly ever more. */
  of(id: number): readonly RingKey[] {
    return this.#keys.filter((each) => each.id === id);
  }
}

function ringKey(key: Uint8Array): RingKey {
  const bytes = Uint8Array.from(key);
  return { id: createHash('sha256').update(bytes).digest()[0] as number, bytes };
}
