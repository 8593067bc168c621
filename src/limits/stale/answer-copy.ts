// hot path
/** The content of an answer on its way, copied for later. What is too long, or beyond what all copies may take together, is given up. */
import type { Copy } from '../../pipeline/index.ts';
import type { Answer } from './answer.ts';

/** Content of one answer. What is larger is dear to keep and seldom asked for twice. */
export const CONTENT_BYTES_MAX: number = 64 * 1024;
/** Of all answers on their way: 128 of the largest. */
export const COPIES_BYTES_MAX: number = 8 * 1024 * 1024;
/** To begin with, where the length is not told. */
const UNTOLD_BYTES = 2048;

/** How much all copies take now, bytes. */
export interface CopyRoom {
  bytes: number;
}

export class AnswerCopy implements Copy {
  /** Where the answer is asked for: host, port and target. */
  readonly place: string;
  /** What proxies before us say of that. */
  readonly asked: string;
  /** What the answer is beside its content; undefined until its head came. */
  head: Omit<Answer, 'content'> | undefined;
  readonly #room: CopyRoom;
  #bytes: Buffer | undefined;
  #length = 0;

  constructor(room: CopyRoom, place: string, asked: string) {
    this.#room = room;
    this.place = place;
    this.asked = asked;
    this.head = undefined;
    this.#bytes = undefined;
  }

  /** `contentLength`: undefined where the head does not tell. False when there is no room for it. */
  begin(head: Omit<Answer, 'content'>, contentLength: number | undefined): boolean {
    this.giveUp();
    this.head = head;
    return this.#grow(contentLength ?? UNTOLD_BYTES);
  }

  add(bytes: Buffer, from: number, to: number): void {
    if (this.#bytes === undefined) return;
    const length = this.#length + to - from;
    if (length > this.#bytes.length && !this.#grow(Math.max(length, Math.min(2 * length, CONTENT_BYTES_MAX)))) return;
    bytes.copy(this.#bytes, this.#length, from, to);
    this.#length = length;
  }

  /** All of it is there. Undefined when it was given up. */
  end(): Answer | undefined {
    const { head } = this;
    const bytes = this.#bytes;
    const length = this.#length;
    this.giveUp();
    if (head === undefined || bytes === undefined) return undefined;
    // A part of a buffer would keep the whole of it.
    const content = bytes.length === length ? bytes : Buffer.allocUnsafeSlow(length);
    if (content !== bytes) bytes.copy(content, 0, 0, length);
    return { ...head, content };
  }

  giveUp(): void {
    this.#room.bytes -= this.#bytes?.length ?? 0;
    this.#bytes = undefined;
    this.#length = 0;
    this.head = undefined;
  }

  #grow(size: number): boolean {
    const before = this.#bytes;
    if (size > CONTENT_BYTES_MAX || this.#room.bytes + size - (before?.length ?? 0) > COPIES_BYTES_MAX) {
      this.giveUp();
      return false;
    }
    this.#bytes = Buffer.allocUnsafeSlow(size);
    this.#room.bytes += size - (before?.length ?? 0);
    before?.copy(this.#bytes, 0, 0, this.#length);
    return true;
  }
}
