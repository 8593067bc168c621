/** A network that delays, loses, doubles and cuts, as it is told; and the same for streams, which fail instead of losing. */
import type { Transport, TransportHandlers } from '../src/gossip/index.ts';
import type { Chance } from './chance.ts';
import type { VirtualTime } from './time.ts';

export interface Weather {
  /** Share of datagrams that are lost, and that come twice. */
  loss: number;
  duplication: number;
  /** The usual way of a datagram, ms; one in a hundred takes ten times as long. */
  latencyMs: number;
  /** Whether nothing comes from the one to the other. */
  isCut: (from: string, to: string) => boolean;
}

/** A stream that is not answered fails after this long, ms. */
const STREAM_MS_MAX = 1000;

export class Network {
  readonly weather: Weather = { loss: 0.02, duplication: 0.005, latencyMs: 0.5, isCut: () => false };
  /** Bytes of all datagrams sent, without the headers of UDP and IP. */
  bytes = 0;
  frames = 0;
  readonly #time: VirtualTime;
  readonly #chance: Chance;
  readonly #hosts = new Map<string, TransportHandlers>();

  constructor(time: VirtualTime, chance: Chance) {
    this.#time = time;
    this.#chance = chance;
  }

  transport(address: string): Transport {
    return {
      address,
      send: (to, bytes) => this.#send(address, to, bytes),
      request: (to, bytes, done) => this.#request(address, to, bytes, done),
      listen: (handlers) => void this.#hosts.set(address, handlers),
      close: async () => this.unplug(address),
    };
  }

  /** Nothing reaches it any more, and nothing comes from it. */
  unplug(address: string): void {
    this.#hosts.delete(address);
  }

  #send(from: string, to: string, bytes: Uint8Array): void {
    if (!this.#hosts.has(from)) return;
    this.bytes += bytes.length;
    this.frames++;
    const { loss, duplication } = this.weather;
    const copies = this.#chance.float() < duplication ? 2 : 1;
    for (let copy = 0; copy < copies; copy++) {
      if (this.#chance.float() < loss || this.weather.isCut(from, to)) continue;
      this.#time.at(this.#time.now + this.#delay(), () => this.#hosts.get(to)?.datagram(bytes, from));
    }
  }

  #request(from: string, to: string, bytes: Uint8Array, done: (answer: Uint8Array | undefined) => void): void {
    if (this.weather.isCut(from, to) || this.weather.isCut(to, from)) {
      this.#time.at(this.#time.now + STREAM_MS_MAX, () => done(undefined));
      return;
    }
    this.#time.at(this.#time.now + 2 * this.#delay(), () => {
      const answer = this.#hosts.has(from) ? this.#hosts.get(to)?.request(bytes, from) : undefined;
      this.#time.at(this.#time.now + this.#delay(), () => done(answer));
    });
  }

  #delay(): number {
    const { latencyMs } = this.weather;
    return latencyMs * (0.5 + this.#chance.float()) * (this.#chance.float() < 0.01 ? 10 : 1);
  }
}
