/**
 * A simulated network: datagrams are lost, doubled, delayed and reordered; streams are only delayed, until they are late. Links are cut one way or
 * both, and healed.
 *
 *   send ─▶ cut? lost? ─▶ latency ─▶ (twice?) ─▶ the process now bound to the address, if there is one
 */
import type { Transport, TransportHandlers } from '../src/gossip/index.ts';
import type { SeededRandom, SimProcess, SimTime } from './time.ts';

export interface Weather {
  /** One way, ms: uniform between the two. */
  readonly latencyMs: readonly [number, number];
  /** Part of the datagrams that are lost; a part of a stream is sent again after 200 ms instead, as by TCP. */
  readonly loss: number;
  /** Part of the datagrams that arrive twice. */
  readonly duplication: number;
  /** A stream without an answer by then failed, ms. */
  readonly streamTimeoutMs: number;
}

export const FAIR: Weather = { latencyMs: [0.2, 2], loss: 0, duplication: 0, streamTimeoutMs: 1000 };
const RETRANSMIT_MS = 200;

interface Cut {
  readonly from: ReadonlySet<string>;
  readonly to: ReadonlySet<string>;
}

export class SimNet {
  readonly time: SimTime;
  weather: Weather;
  /** Datagrams and their bytes that were sent. */
  sent = 0;
  sentBytes = 0;
  /** Sees each datagram on its way; for tests that record and replay. */
  onDatagram: (bytes: Uint8Array, from: string, to: string) => void = () => {};
  readonly #random: SeededRandom;
  readonly #bound = new Map<string, SimTransport>();
  readonly #aliases = new Map<string, string>();
  readonly #cuts = new Set<Cut>();

  constructor(time: SimTime, random: SeededRandom, weather: Weather = FAIR) {
    this.time = time;
    this.#random = random;
    this.weather = weather;
  }

  /** Binds an address; whoever had it before hears nothing any more. */
  transport(process: SimProcess, address: string): SimTransport {
    const transport = new SimTransport(this, process, address);
    this.#bound.set(address, transport);
    return transport;
  }

  /** Nothing of `from` reaches `to`; the other way stays. Returns how it is healed. */
  cutOneWay(from: Iterable<string>, to: Iterable<string>): () => void {
    const cut = { from: new Set(from), to: new Set(to) };
    this.#cuts.add(cut);
    return () => void this.#cuts.delete(cut);
  }

  cut(some: Iterable<string>, others: Iterable<string>): () => void {
    const there = this.cutOneWay(some, others);
    const back = this.cutOneWay(others, some);
    return () => {
      there();
      back();
    };
  }

  /** Another name of an address, as DNS gives one. */
  alias(name: string, address: string): void {
    this.#aliases.set(name, address);
  }

  at(address: string): SimTransport | undefined {
    return this.#bound.get(this.#aliases.get(address) ?? address);
  }

  unbind(transport: SimTransport): void {
    if (this.#bound.get(transport.address) === transport) this.#bound.delete(transport.address);
  }

  /** Something does not reach something. */
  get hasCuts(): boolean {
    return this.#cuts.size > 0;
  }

  isCut(from: string, to: string): boolean {
    for (const cut of this.#cuts) if (cut.from.has(from) && cut.to.has(to)) return true;
    return false;
  }

  datagram(from: string, to: string, bytes: Uint8Array): void {
    this.sent++;
    this.sentBytes += bytes.length;
    this.onDatagram(bytes, from, to);
    if (this.isCut(from, to) || this.#happens(this.weather.loss)) return;
    for (let copies = this.#happens(this.weather.duplication) ? 2 : 1; copies > 0; copies--)
      this.time.after(this.latencyMs(), () => this.at(to)?.receive(bytes, from));
  }

  /** One way, ms. */
  latencyMs(): number {
    const [least, most] = this.weather.latencyMs;
    return least + (most - least) * this.#random.float();
  }

  /** The same of a part of a stream, which is sent again when it was lost. */
  streamMs(): number {
    let ms = this.latencyMs();
    while (this.#happens(this.weather.loss)) ms += RETRANSMIT_MS;
    return ms;
  }

  #happens(part: number): boolean {
    return part > 0 && this.#random.float() < part;
  }
}

export class SimTransport implements Transport {
  readonly address: string;
  readonly #net: SimNet;
  readonly #process: SimProcess;
  #handlers: TransportHandlers | undefined;

  constructor(net: SimNet, process: SimProcess, address: string) {
    this.#net = net;
    this.#process = process;
    this.address = address;
  }

  send(to: string, bytes: Uint8Array): void {
    if (!this.#process.isDown) this.#net.datagram(this.address, to, bytes);
  }

  request(to: string, bytes: Uint8Array, done: (answer: Uint8Array | undefined) => void): void {
    const net = this.#net;
    let isDone = false;
    const end = (answer: Uint8Array | undefined): void =>
      this.#process.arrive(() => {
        if (!isDone) {
          isDone = true;
          done(answer);
        }
      });
    net.time.after(net.weather.streamTimeoutMs, () => end(undefined));
    if (net.isCut(this.address, to) || net.isCut(to, this.address)) return;
    // Connect, its answer, request.
    net.time.after(net.streamMs() + net.streamMs() + net.streamMs(), () => {
      const peer = net.at(to);
      if (peer === undefined) return end(undefined);
      peer.serve(bytes, (answer) => {
        if (!net.isCut(to, this.address)) net.time.after(net.streamMs(), () => end(answer));
      });
    });
  }

  listen(handlers: TransportHandlers): void {
    this.#handlers = handlers;
  }

  close(): Promise<void> {
    this.#net.unbind(this);
    return Promise.resolve();
  }

  receive(bytes: Uint8Array, from: string): void {
    this.#process.arrive(() => this.#handlers?.datagram(bytes, from));
  }

  serve(bytes: Uint8Array, answer: (bytes: Uint8Array | undefined) => void): void {
    this.#process.arrive(() => answer(this.#handlers?.request(bytes)));
  }
}
