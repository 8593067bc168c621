/**
 * A collector as small as it can be, to hold senders against: it keeps what it was told in order, acks what is synced, and loses the rest when
 * it crashes. One spool at a time: whatever another had is forgotten.
 */
import type { Batch, FromCollector, FromSidecar, Gap, Hello } from '../../src/metering/messages.ts';
import { NOWHERE, type Position } from '../../src/metering/position.ts';

interface Mark extends Position {
  readonly chain: number;
}

const START: Mark = { ...NOWHERE, chain: 0 };

export class ReferenceCollector {
  /** Synced. */
  readonly ledger: (Batch | Gap)[] = [];
  #pending: (Batch | Gap)[] = [];
  #spoolId = '';
  #newest = { epoch: 0, life: '' };
  #greeting: Hello | undefined;
  #credit: number;
  /** Of the stream that is there; undefined: none. */
  say: ((message: FromCollector) => void) | undefined;
  byes = 0;

  constructor(credit: number = 2 ** 20) {
    this.#credit = credit;
  }

  get pending(): number {
    return this.#pending.length;
  }

  get mark(): Mark {
    return markOf(this.ledger.at(-1));
  }

  hear(message: FromSidecar): void {
    if (message.kind === 'hello') this.#greet(message);
    else if (message.kind === 'batch' || message.kind === 'gap') this.#take(message);
    else if (message.kind === 'bye') this.byes++;
  }

  /** Syncs what came. */
  commit(): void {
    this.ledger.push(...this.#pending);
    const bytes = this.#pending.reduce((sum, each) => sum + (each.kind === 'batch' ? each.payload.length : 0), 0);
    const isNew = this.#pending.length > 0;
    this.#pending = [];
    if (this.#greeting !== undefined) this.#welcome();
    else if (isNew) {
      const { epoch, seq } = this.mark;
      this.say?.({ kind: 'ack', epoch, seq });
      if (bytes > 0) this.say?.({ kind: 'credit', bytes });
    }
  }

  /** The machine stops: what was not synced is gone, and the stream. */
  crash(): void {
    this.#pending = [];
    this.disconnect();
  }

  disconnect(): void {
    this.say = undefined;
    this.#greeting = undefined;
  }

  /** Everything that decides what it does next. */
  get state(): unknown {
    return [this.ledger.map(nameOf), this.#pending.map(nameOf), this.#newest, this.#greeting !== undefined];
  }

  #greet(hello: Hello): void {
    if (hello.spoolId !== this.#spoolId) {
      this.#spoolId = hello.spoolId;
      this.#newest = { epoch: 0, life: '' };
      this.ledger.length = this.#pending.length = 0;
    }
    const { epoch, life } = this.#newest;
    if (hello.epoch < epoch || (hello.epoch === epoch && hello.life !== life)) {
      this.say?.({ kind: 'fence', reason: 'another holds this spool' });
      return;
    }
    this.#newest = { epoch: hello.epoch, life: hello.life };
    this.#greeting = hello;
    // What is pending of an older stream comes first.
    if (this.#pending.length === 0) this.#welcome();
  }

  #welcome(): void {
    this.#greeting = undefined;
    this.say?.({ kind: 'welcome', ...this.mark, creditBytes: this.#credit });
  }

  #take(told: Batch | Gap): void {
    const at = this.#pending.length > 0 ? markOf(this.#pending.at(-1)) : this.mark;
    const isNext = told.epoch === at.epoch && told.seqFrom === at.seq + 1;
    const isNew = told.epoch > at.epoch && told.seqFrom === 1;
    if (isNext && told.chainBefore !== at.chain) this.say?.({ kind: 'fence', reason: 'another history' });
    else if (isNext || isNew) this.#pending.push(told);
    else this.say?.({ kind: 'nack', reason: `${nameOf(told)} does not follow` });
  }
}

function markOf(last: Batch | Gap | undefined): Mark {
  return last === undefined ? START : { epoch: last.epoch, seq: last.seqTo, chain: last.chainAfter };
}

export function nameOf({ kind, epoch, seqFrom, seqTo }: Batch | Gap): string {
  return `${kind} ${epoch}:${seqFrom}–${seqTo}`;
}
