/** The thread in which the loader runs, as seen from the loop that moves requests. */
import { MessageChannel, type MessagePort, receiveMessageOnPort, type Worker } from 'node:worker_threads';
import type { Timers } from '../core/index.ts';
import type { ChangePart } from './change.ts';
import type { LoaderOptions, Look } from './loader.ts';
import type { FromLoader, LoaderData, ToLoader } from './loader-worker.ts';
import { startThread } from './thread.ts';

export interface LoaderThreadOptions extends LoaderOptions {
  readonly timers: Timers;
  /** MB. 1024: the texts of the largest directory there may be, twice, and their objects. */
  readonly loaderHeapMb?: number;
}

/** Who hears of the thread. */
export interface LoaderListener {
  /** Resolves when what was found is in force: the thread waits for it. When it rejects, the thread is ended. `parts` are read back as they are asked for. */
  found(look: Omit<Look, 'parts'>, parts: AsyncIterable<ChangePart>): Promise<void>;
  warn(event: string, facts: Readonly<Record<string, unknown>>): void;
  ended(cause: unknown): void;
}

const HEAP_MB = 1024;
/** To write the last good file; then the thread is ended. */
const CLOSE_MS_MAX = 5000;
/** Until a part that is being made is looked for again. */
const PART_WAIT_MS = 1;

export class LoaderThread {
  /** Whether the first look is in force; false when the thread ended before. */
  readonly started: Promise<boolean>;
  readonly #timers: Timers;
  readonly #worker: Worker;
  readonly #parts: MessagePort;
  readonly #ended: Promise<void>;
  /** What it said before anybody listened: a few warnings and its first look, after which it waits. */
  readonly #early: FromLoader[] = [];
  #listener: LoaderListener | undefined;
  /** Those who wait for a look, by its number. Bounded by its callers, who wait. */
  readonly #waiting = new Map<number, () => void>();
  #looks = 0;
  #isClosing = false;
  /** The thread has ended. */
  #isOver = false;
  #cause: unknown;
  readonly #started = Promise.withResolvers<boolean>();

  /** Starts the thread, which reads at once; what it finds waits for `connect`. */
  constructor({ dir, stateDir, allowShrink, removeGraceMs, inForce, timers, loaderHeapMb }: LoaderThreadOptions) {
    this.#timers = timers;
    const { port1, port2 } = new MessageChannel();
    this.#parts = port1;
    const options: LoaderOptions = {
      dir,
      stateDir,
      allowShrink,
      removeGraceMs,
      ...(inForce === undefined ? {} : { inForce }),
    };
    this.#worker = startThread(new URL('./loader-worker.ts', import.meta.url), {
      data: { options, parts: port2 } satisfies LoaderData,
      transfer: [port2],
      heapMb: loaderHeapMb ?? HEAP_MB,
    });
    this.#ended = new Promise((resolve) =>
      this.#worker.once('exit', () => {
        this.#isOver = true;
        resolve();
      }),
    );
    this.started = this.#started.promise;
    void this.#ended.then(() => this.#started.resolve(false));
    this.#worker.on('message', (message: FromLoader) => this.#receive(message));
    this.#worker.on('error', (cause) => {
      this.#cause = cause;
    });
  }

  connect(listener: LoaderListener): void {
    this.#listener = listener;
    for (const message of this.#early) this.#receive(message);
    void this.#ended.then(() => this.#end(listener));
  }

  look(): Promise<void> {
    const id = this.#looks++;
    this.#send({ do: 'look', id });
    this.#worker.ref();
    return new Promise((resolve) => this.#waiting.set(id, resolve));
  }

  async close(): Promise<void> {
    this.#isClosing = true;
    this.#worker.ref();
    // While nobody listens, it waits for its first look to be in force, and has nothing to write.
    if (this.#listener === undefined) void this.#worker.terminate();
    this.#send({ do: 'close' });
    const late = this.#timers.after(CLOSE_MS_MAX, () => void this.#worker.terminate());
    await this.#ended;
    late.cancel();
  }

  #send(message: ToLoader): void {
    this.#worker.postMessage(message);
  }

  #receive(message: FromLoader): void {
    const listener = this.#listener;
    if (listener === undefined) this.#early.push(message);
    else if (message.is === 'warning') listener.warn(message.event, message.facts);
    else if (message.is === 'found')
      listener.found(message.look, this.#fetch(message.look.partCount)).then(
        () => this.#send({ do: 'published' }),
        // A defect of ours: what the thread believes is in force is not, so it begins anew.
        (cause: unknown) => {
          this.#cause ??= cause;
          void this.#worker.terminate();
        },
      );
    else {
      if (message.is === 'started') this.#started.resolve(true);
      else this.#answer(message.id);
      // From here on the thread alone does not keep the process alive.
      if (this.#waiting.size === 0 && !this.#isClosing) this.#worker.unref();
    }
  }

  #answer(id: number): void {
    this.#waiting.get(id)?.();
    this.#waiting.delete(id);
  }

  /** Read back one by one, when they are asked for: a message handler would be given all of them in one turn. */
  async *#fetch(count: number): AsyncGenerator<ChangePart> {
    for (let taken = 0; taken < count; ) {
      const isOver = this.#isOver;
      const received = receiveMessageOnPort(this.#parts) as { message: ChangePart } | undefined;
      if (received !== undefined) {
        taken++;
        yield received.message;
      } else if (isOver) throw new Error('the loader ended in the middle of a change');
      else await this.#timers.sleep(PART_WAIT_MS);
    }
  }

  #end(listener: LoaderListener): void {
    this.#parts.close();
    for (const id of [...this.#waiting.keys()]) this.#answer(id);
    listener.ended(this.#cause);
  }
}
