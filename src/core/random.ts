import { randomFillSync } from 'node:crypto';

/** Chance as an injected capability: ids and jitter in production, a seed in tests. */
export interface Random {
  /** `bytes` random bytes as lower-case hex. */
  hex(bytes: number): string;
  /** Uniform in [0, 1). */
  float(): number;
}

/** 32 KiB: the ids of 800 requests between two calls of the system's generator, which cost more than the bytes. */
const POOL_BYTES = 32 * 1024;
const pool = Buffer.allocUnsafe(POOL_BYTES);
let used = POOL_BYTES;

export const systemRandom: Random = {
  hex(bytes) {
    if (bytes > POOL_BYTES) throw new RangeError(`at most ${POOL_BYTES} bytes at once, asked for ${bytes}`);
    if (used + bytes > POOL_BYTES) {
      randomFillSync(pool);
      used = 0;
    }
    const text = pool.toString('hex', used, used + bytes);
    used += bytes;
    return text;
  },
  float: () => Math.random(),
};
