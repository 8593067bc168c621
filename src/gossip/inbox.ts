// hot path
/** Frames and requests on their way in: opened, told on, handed to whom they are for. */

import { Reader } from '../core/index.ts';
import { readRecord } from './belief.ts';
import type { Counts } from './counts.ts';
import type { Exchange } from './exchange.ts';
import type { Membership } from './membership.ts';
import { HEAD_BYTES, KIND } from './messages.ts';
import type { Outbox } from './outbox.ts';
import type { Prober } from './prober.ts';
import type { Peer, Roster } from './roster.ts';
import type { Opened, Seal } from './seal.ts';
import type { Sync } from './sync.ts';
import type { TransportHandlers } from './transport.ts';

export interface InboxOptions {
  readonly seal: Seal;
  readonly roster: Roster;
  readonly membership: Membership;
  readonly prober: Prober;
  /** By the kind of their frames. */
  readonly exchanges: ReadonlyMap<number, Exchange>;
  readonly sync: Sync;
  readonly outbox: Outbox;
  readonly counts: Counts;
}

export class Inbox implements TransportHandlers {
  readonly #options: InboxOptions;

  constructor(options: InboxOptions) {
    this.#options = options;
  }

  datagram(bytes: Uint8Array, from: string): void {
    const { counts, seal, roster, membership, exchanges, prober } = this.#options;
    counts.receivedBytes += bytes.length;
    const opened = seal.openDatagram(bytes, from);
    if (opened === undefined) return;
    const reader = new Reader(opened.payload);
    const kind = reader.u8();
    const sender = kind === KIND.ping ? this.#senderOfPing(opened) : roster.of(opened.incarnation);
    // An ack of who took over an address introduces itself as well; anyone else is learnt by a ping or a stream.
    if (sender === undefined && kind !== KIND.ack) return void counts.refused.unknown++;
    if (sender !== undefined) membership.heard(sender);
    const exchange = exchanges.get(kind);
    if (exchange === undefined && HEAD_BYTES[kind] === undefined) return void counts.refused.malformed++;
    if (sender !== undefined) exchange?.onRows(sender, reader);
    // What is told is learnt first, so that the answer already refutes what is said of us.
    const records = new Reader(opened.payload, reader.offset + (HEAD_BYTES[kind] ?? 0));
    while (records.hasMore) {
      const belief = readRecord(records);
      if (belief !== undefined) membership.learnFrom(sender, belief);
    }
    if (records.isBroken || reader.isBroken) return void counts.refused.malformed++;
    if (exchange === undefined && sender !== undefined) prober.on(kind, sender, reader);
  }

  request(bytes: Uint8Array): Uint8Array | undefined {
    const { counts, seal, roster, membership, sync, outbox } = this.#options;
    counts.receivedBytes += bytes.length;
    const opened = seal.openRequest(bytes);
    if (opened === undefined) return undefined;
    const reader = new Reader(opened.payload);
    const payload = sync.answer(reader.u8(), reader, opened.incarnation);
    const sender = roster.of(opened.incarnation);
    if (sender !== undefined) membership.heard(sender);
    if (payload === undefined) {
      counts.refused.malformed++;
      return undefined;
    }
    const answer = seal.seal(payload, bytes);
    outbox.spend(answer.length);
    return answer;
  }

  /** A ping introduces its sender: its record comes first. */
  #senderOfPing({ incarnation, payload }: Opened): Peer | undefined {
    const { roster, membership } = this.#options;
    const known = roster.of(incarnation);
    if (known !== undefined) return known;
    const reader = new Reader(payload, 1 + (HEAD_BYTES[KIND.ping] as number));
    const belief = readRecord(reader);
    if (belief?.incarnation === incarnation) membership.learn(belief);
    return roster.of(incarnation);
  }
}
