/** A peer moved by hand: it holds the key, speaks the protocol and says what a test wants. */

import type { SimTransport } from '../../sim/net.ts';
import { SimProcess } from '../../sim/time.ts';
import { Reader, Writer } from '../../src/core/bytes.ts';
import { type Belief, identityBytes, writeRecord } from '../../src/gossip/belief.ts';
import { KIND } from '../../src/gossip/messages.ts';
import { Seal } from '../../src/gossip/seal.ts';
import type { Node, World } from './world.ts';

export class Puppet {
  readonly transport: SimTransport;
  readonly seal: Seal;
  readonly incarnation: string;
  readonly name: string;
  /** Payloads of the datagrams it got. */
  readonly heard: Buffer[] = [];
  /** What it answers over streams, if anything. */
  onRequest: (payload: Buffer) => Uint8Array | undefined = () => undefined;
  onDatagram: (payload: Buffer, from: string) => void = () => {};

  constructor(world: World, { address = '10.9.9.9:1', incarnation = 'cccccccccccccccc', name = 'puppet' } = {}) {
    const process = new SimProcess(world.time);
    this.incarnation = incarnation;
    this.name = name;
    this.transport = world.net.transport(process, address);
    this.seal = new Seal({
      clock: process,
      cluster: 'test',
      incarnation,
      keyring: undefined,
      addressOf: () => 'anywhere',
      onRefused() {},
    });
    this.transport.listen({
      datagram: (bytes, from) => {
        const opened = this.seal.openDatagram(bytes, from);
        if (opened === undefined) return;
        this.heard.push(opened.payload);
        this.onDatagram(opened.payload, from);
      },
      request: (bytes) => {
        const opened = this.seal.openRequest(bytes);
        const answer = opened === undefined ? undefined : this.onRequest(opened.payload);
        return answer === undefined ? undefined : this.seal.seal(answer, bytes);
      },
    });
  }

  belief(of: Partial<Belief> = {}): Belief {
    const { incarnation, name, transport } = this;
    return {
      incarnation,
      name,
      address: transport.address,
      state: 'alive',
      refutation: 0,
      accuser: 0,
      agoMs: 0,
      ...of,
    };
  }

  send(to: Node, payload: Uint8Array): void {
    this.transport.send(to.transport.address, this.seal.seal(payload));
  }

  /** Over a stream; the answer's payload. */
  ask(to: Node, payload: Uint8Array): Promise<Buffer | undefined> {
    const request = this.seal.seal(payload);
    return new Promise((resolve) =>
      this.transport.request(to.transport.address, request, (answer) =>
        resolve(answer === undefined ? undefined : this.seal.openAnswer(answer, request)?.payload),
      ),
    );
  }

  /** A ping that introduces it, with further records. */
  ping(to: Node, ...beliefs: readonly Belief[]): void {
    this.send(
      to,
      payload(KIND.ping, { u32: 1, incarnation: to.gossip.self.incarnation, beliefs: [this.belief(), ...beliefs] }),
    );
  }

  /** Answers pings, after `delayMs`. */
  answerPings(world: World, delayMs = 0): void {
    this.onDatagram = (bytes, from) => {
      const reader = new Reader(bytes);
      if (reader.u8() !== KIND.ping) return;
      const ack = this.seal.seal(payload(KIND.ack, { u32: reader.u32() }));
      world.time.after(delayMs, () => this.transport.send(from, ack));
    };
  }

  /** Datagrams of a kind that it got. */
  got(kind: number): Buffer[] {
    return this.heard.filter((each) => each[0] === kind);
  }
}

export function payload(
  kind: number,
  { u32, incarnation, beliefs = [] }: { u32?: number; incarnation?: string; beliefs?: readonly Belief[] } = {},
): Buffer {
  const writer = new Writer(1_000_000);
  writer.u8(kind);
  if (u32 !== undefined) writer.u32(u32);
  if (incarnation !== undefined) writer.hex(incarnation);
  for (const each of beliefs) writeRecord(writer, identityBytes(each), each, each.accuser, each.agoMs);
  return Buffer.from(writer.bytes.subarray(0, writer.offset));
}
