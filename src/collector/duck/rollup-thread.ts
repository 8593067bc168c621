/**
 * The store, from the loop's side: questions and sums go to a thread and never hold the loop. In a thread of its own DuckDB's work shares
 * nothing with the streams but the cores.
 *
 * Bound: `CALLS_MAX` questions at once; beyond, they are refused. Windows are bounded by whoever applies them.
 */
import { Worker } from 'node:worker_threads';
import { ReeveError } from '../../core/index.ts';
import type { Exporter, Question, Reconciled, RollupStore, StoreFigures, TooMany, UsageRow } from '../rollups.ts';
import type { DuckRollupsOptions } from './duck-rollups.ts';
import type { Answer, Call, Failure, Method } from './rollup-worker.ts';

/** More people than ever ask at once. */
const CALLS_MAX = 64;

interface Waiting {
  resolve(value: unknown): void;
  reject(cause: Error): void;
}

export class RollupThread implements RollupStore, Exporter {
  readonly #worker: Worker;
  readonly #waiting = new Map<number, Waiting>();
  #nextId = 1;
  #questions = 0;
  #isClosing = false;
  #word: string | undefined;

  private constructor(worker: Worker, onDeath: (cause: Error) => void) {
    this.#worker = worker;
    worker.on('message', (answer: Answer) => this.#answered(answer));
    const die = (cause: Error): void => {
      for (const { reject } of this.#waiting.values()) reject(cause);
      this.#waiting.clear();
      if (!this.#isClosing) onDeath(cause);
      this.#isClosing = true;
    };
    worker.on('error', die);
    worker.on('exit', (code) => die(new Error(`the thread of the sums ended with ${code}`)));
  }

  /** Rejects with a ReeveError when the directory cannot be used. `onDeath`: it ended by itself; nothing is answered any more. */
  static async open(o: DuckRollupsOptions, onDeath: (cause: Error) => void): Promise<RollupThread> {
    // What was loaded into the process before it, such as for tests, is not for the thread.
    const worker = new Worker(new URL('./rollup-worker.ts', import.meta.url), { workerData: o, execArgv: [] });
    const thread = new RollupThread(worker, onDeath);
    try {
      thread.#word = (await thread.#wait(0)) as string | undefined;
      return thread;
    } catch (cause) {
      thread.#isClosing = true;
      await worker.terminate();
      throw cause;
    }
  }

  get word(): string | undefined {
    return this.#word;
  }

  apply(service: string, payload: Buffer): Promise<void> {
    // Bytes that are given away: what is copied otherwise is all of the buffer that they are a part of.
    const bytes = new Uint8Array(payload);
    return this.#send('apply', [service, bytes], [bytes.buffer]) as Promise<void>;
  }

  query(question: Question): Promise<readonly UsageRow[] | TooMany> {
    return this.#ask('query', question) as Promise<readonly UsageRow[] | TooMany>;
  }

  reconcile(fromS: number, toS: number, rowsMax: number): Promise<Reconciled> {
    return this.#ask('reconcile', fromS, toS, rowsMax) as Promise<Reconciled>;
  }

  export(form: 'csv' | 'ndjson' | 'parquet', fromS: number, toS: number): Promise<string> {
    return this.#ask('export', form, fromS, toS) as Promise<string>;
  }

  async save(word: string, sealS: number): Promise<number> {
    const hours = (await this.#call('save', word, sealS)) as number;
    this.#word = word;
    return hours;
  }

  tidy(nowS: number, retainedS: number): Promise<void> {
    return this.#call('tidy', nowS, retainedS) as Promise<void>;
  }

  figures(): Promise<StoreFigures> {
    return this.#call('figures') as Promise<StoreFigures>;
  }

  async close(): Promise<void> {
    if (this.#isClosing) return;
    this.#isClosing = true;
    await this.#call('close').catch(() => {});
    await this.#worker.terminate();
  }

  async #ask(method: Method, ...args: readonly unknown[]): Promise<unknown> {
    if (this.#questions >= CALLS_MAX)
      throw new ReeveError('busy', `${CALLS_MAX} questions are being answered already`, { remedy: 'ask again later' });
    this.#questions++;
    try {
      return await this.#call(method, ...args);
    } finally {
      this.#questions--;
    }
  }

  #call(method: Method, ...args: readonly unknown[]): Promise<unknown> {
    return this.#send(method, args, []);
  }

  #send(method: Method, args: readonly unknown[], given: readonly ArrayBuffer[]): Promise<unknown> {
    const id = this.#nextId++;
    const answered = this.#wait(id);
    this.#worker.postMessage({ id, method, args } satisfies Call, given);
    return answered;
  }

  #wait(id: number): Promise<unknown> {
    return new Promise((resolve, reject) => this.#waiting.set(id, { resolve, reject }));
  }

  #answered(answer: Answer): void {
    const waiting = this.#waiting.get(answer.id);
    this.#waiting.delete(answer.id);
    if ('failure' in answer) waiting?.reject(errorOf(answer.failure));
    else waiting?.resolve(answer.value);
  }
}

function errorOf({ message, code, ...facts }: Failure): Error {
  return code === undefined ? new Error(message) : new ReeveError(code, message, facts);
}
