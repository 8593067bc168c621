/** Requests over streams, and whether the answer is one. */
import { Reader } from '../core/index.ts';
import type { Counts } from './counts.ts';
import type { Membership } from './membership.ts';
import { KIND } from './messages.ts';
import type { Outbox } from './outbox.ts';
import type { Peer, Roster } from './roster.ts';
import type { Seal } from './seal.ts';
import type { Transport } from './transport.ts';

export interface CallerOptions {
  readonly transport: Transport;
  readonly seal: Seal;
  readonly roster: Roster;
  readonly membership: Membership;
  readonly outbox: Outbox;
  readonly counts: Counts;
  readonly isClosed: () => boolean;
}

/** Undefined: none came, or none that opens. */
export type Answered = (answer: Reader | undefined, incarnation: string) => void;

export class Caller {
  readonly #options: CallerOptions;

  constructor(options: CallerOptions) {
    this.#options = options;
  }

  ask(address: string, payload: Uint8Array, done: Answered): void {
    const { transport, seal, roster, membership, outbox, counts, isClosed } = this.#options;
    const request = seal.seal(payload);
    outbox.spend(request.length);
    transport.request(address, request, (answer) => {
      if (isClosed()) return;
      counts.receivedBytes += answer?.length ?? 0;
      const opened = answer === undefined ? undefined : seal.openAnswer(answer, request);
      if (opened === undefined) return done(undefined, '');
      // Whoever answers first introduces itself by what it says.
      done(new Reader(opened.payload), opened.incarnation);
      const sender = roster.of(opened.incarnation);
      if (sender !== undefined) membership.heard(sender);
    });
  }

  /** Whether the very member is there, where datagrams may not pass. */
  knock(target: Peer, done: (isThere: boolean) => void): void {
    const payload = Buffer.concat([Uint8Array.of(KIND.knock), Buffer.from(target.incarnation, 'hex')]);
    this.ask(target.address, payload, (answer, incarnation) =>
      done(answer?.u8() === KIND.yes && incarnation === target.incarnation),
    );
  }
}
