/**
 * Requests that failed to be identified, limited by where they come from. Only failures are charged: a verified tenant behind the
 * same address never pays. A bounded table; the least recently seen prefix leaves.
 */
import { isIPv6 } from 'node:net';
import { BoundedMap, type Clock } from '../core/index.ts';

const PREFIXES_MAX = 4096;

export class AnonymousTable {
  readonly #clock: Clock;
  readonly #intervalMs: number;
  readonly #burstMs: number;
  /** GCRA: the theoretical arrival time of each prefix. */
  readonly #arrivals = new BoundedMap<string, number>(PREFIXES_MAX);

  constructor(clock: Clock, { perSec, burst }: { perSec: number; burst: number }) {
    this.#clock = clock;
    this.#intervalMs = 1e3 / perSec;
    this.#burstMs = this.#intervalMs * burst;
  }

  get size(): number {
    return this.#arrivals.size;
  }

  /** Charges one failure. 0 while within the rate, else ms until the next one would be. */
  charge(peer: string): number {
    const now = this.#clock.now();
    const prefix = prefixOf(peer);
    const arrival = Math.max(this.#arrivals.get(prefix) ?? 0, now) + this.#intervalMs;
    const excessMs = arrival - now - this.#burstMs;
    if (excessMs > 0) return excessMs;
    this.#arrivals.set(prefix, arrival);
    return 0;
  }
}

/** /24 of IPv4, /64 of IPv6: about one household, one office, one attacker. */
export function prefixOf(peer: string): string {
  const address = peer.startsWith('::ffff:') && peer.includes('.') ? peer.slice(7) : peer;
  if (!isIPv6(address)) return address.slice(0, address.lastIndexOf('.'));
  const [head = '', tail] = address.split('::');
  const left = head.split(':').filter((each) => each !== '');
  const right = (tail ?? '').split(':').filter((each) => each !== '');
  const zeros = tail === undefined ? 0 : 8 - left.length - right.length;
  return [...left, ...Array<string>(Math.max(zeros, 0)).fill('0'), ...right].slice(0, 4).join(':');
}
