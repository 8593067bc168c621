/** What is written at once, and what is taken and written later, each to its own client, whole; slabs are used again only when nobody reads from them. */
import fc from 'fast-check';
import t from 'tap';
import type { ByteSocket } from '../../src/proxy/fast/byte-socket.ts';
import { Outbox } from '../../src/proxy/fast/outbox.ts';

const HEAD = Buffer.from('HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n');
const LAST = Buffer.from('0\r\n\r\n');

/** A kernel that takes bytes at once, or reads them only when it is asked to go on: as they are then. */
class Kernel {
  isSlow = false;
  text = '';
  readonly #waiting: Buffer[] = [];

  get isFlushed(): boolean {
    return this.#waiting.length === 0;
  }

  write(bytes: Buffer): boolean {
    if (this.isSlow || !this.isFlushed) this.#waiting.push(bytes);
    else this.text += bytes.toString('latin1');
    return this.isFlushed;
  }

  goOn(): void {
    for (const bytes of this.#waiting.splice(0)) this.text += bytes.toString('latin1');
  }
}

interface Step {
  readonly client: number;
  readonly length: number;
  readonly isHead: boolean;
  readonly isChunked: boolean;
  readonly isLater: boolean;
  readonly isSlow: boolean;
  readonly isTurnOver: boolean;
}

const step: fc.Arbitrary<Step> = fc.record({
  client: fc.nat(3),
  length: fc.oneof(fc.nat(200), fc.constantFrom(0, 5000, 16_000, 16_300, 40_000)),
  isHead: fc.boolean(),
  isChunked: fc.boolean(),
  isLater: fc.boolean(),
  isSlow: fc.boolean(),
  isTurnOver: fc.boolean(),
});

t.test('each client gets its own bytes, whole and in order', async (t) => {
  const property = fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
    const outbox = new Outbox();
    const clients = Array.from({ length: 4 }, () => new Kernel());
    const wanted = clients.map(() => '');
    let taken: { readonly kernel: Kernel; readonly bytes: Buffer }[] = [];
    const turn = (): void => {
      for (const { kernel, bytes } of taken) outbox.giveBack(bytes, kernel.write(bytes));
      taken = [];
    };
    for (const [at, { client, length, isHead, isChunked, isLater, isSlow, isTurnOver }] of steps.entries()) {
      const kernel = clients[client] as Kernel;
      // Who waits gets nothing before it.
      if (taken.some((each) => each.kernel === kernel)) turn();
      kernel.isSlow = isSlow;
      const content = Buffer.alloc(length, 97 + (at % 26));
      outbox.begin(length, isHead ? HEAD : undefined, isHead ? HEAD.length : 0);
      if (length > 0) outbox.addContent(content, 0, length, isChunked);
      const end = isChunked ? LAST : undefined;
      wanted[client] += isHead ? HEAD.toString() : '';
      wanted[client] += isChunked && length > 0 ? `${length.toString(16)}\r\n${content}\r\n` : content.toString();
      wanted[client] += isChunked ? LAST.toString() : '';
      if (isLater) {
        const bytes = outbox.take(end);
        if (bytes !== undefined) taken.push({ kernel, bytes });
      } else outbox.flush(kernel as unknown as ByteSocket, end);
      if (isTurnOver) turn();
      if (at % 7 === 0) for (const each of clients) each.goOn();
    }
    turn();
    for (const each of clients) each.goOn();
    return clients.every(({ text }, at) => text === wanted[at]);
  });
  t.doesNotThrow(() => fc.assert(property));
});

t.test('turns that answer at once use the same memory again and again', async (t) => {
  const outbox = new Outbox();
  const kernel = new Kernel();
  const seen = new Set<ArrayBufferLike>();
  for (let turn = 0; turn < 100; turn++) {
    const taken = Array.from({ length: 64 }, () => {
      outbox.begin(1000, HEAD, HEAD.length);
      outbox.addContent(Buffer.alloc(1000, 'x'), 0, 1000, false);
      return outbox.take(undefined) as Buffer;
    });
    for (const bytes of taken) {
      seen.add(bytes.buffer);
      outbox.giveBack(bytes, kernel.write(bytes));
    }
  }
  t.equal(seen.size, 5, 'fifteen answers a slab');
});

t.test('what the kernel reads from later is not used again, and what never was in a slab is nobody’s', async (t) => {
  const outbox = new Outbox();
  const kernel = new Kernel();
  const take = (text: string): Buffer => {
    outbox.begin(text.length, undefined, 0);
    outbox.addContent(Buffer.from(text), 0, text.length, false);
    return outbox.take(undefined) as Buffer;
  };
  kernel.isSlow = true;
  const first = take('first');
  outbox.giveBack(first, kernel.write(first));
  outbox.giveBack(Buffer.from('of our own'), true);
  t.not(take('second').buffer, first.buffer);
  kernel.goOn();
  t.equal(kernel.text, 'first');
  outbox.begin(0, undefined, 0);
  t.equal(outbox.take(undefined), undefined);
});
