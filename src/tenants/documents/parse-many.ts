/**
 * Parses texts: small ones here, and where they are many or large, in a thread beside this one that lives as long as the job, with a
 * bound on memory and on time without a result. A document that costs more than that is refused by itself; none of its neighbours is.
 *
 *   texts ─▶ batches of 50 ─┬▶ here, those of small texts only
 *                           └▶ a thread ─▶ a batch in which it died is tried again, text by text
 */
import type { Worker } from 'node:worker_threads';
import type { Timers } from '../../core/index.ts';
import { startThread } from '../thread.ts';
import { type ParsedDocument, parseOne } from './parse.ts';
import type { ParseJob } from './parse-worker.ts';

/** 2 KiB parse in about 1 ms. */
const SMALL_CHARS = 2048;
/** Small texts, from which on a thread pays: it takes about 100 ms of CPU to start, and some MB that do not come back whole. One: beside it runs the loop that moves requests. */
const MANY = 1000;
const BATCH = 50;
/** What the bounds of parse.ts let through takes well under a second; what takes longer than this is refused. */
export const SILENCE_MS_MAX = 10_000;
const WORKER_HEAP_MB = 512;

/** Results in the order of `texts`. */
export async function parseMany(
  texts: readonly string[],
  timers: Timers,
  silenceMsMax = SILENCE_MS_MAX,
): Promise<ParsedDocument[]> {
  const batches = Array.from({ length: Math.ceil(texts.length / BATCH) }, (_, at) =>
    texts.slice(at * BATCH, (at + 1) * BATCH),
  );
  const job = new Job(batches, timers, silenceMsMax);
  await Promise.all([job.parseHere(), texts.length >= MANY || job.hasLarge ? job.parseBeside() : undefined]);
  return job.results.flat();
}

class Job {
  readonly results: ParsedDocument[][] = [];
  /** Of small texts, which may be parsed anywhere, and the others; places in `batches`. */
  readonly #small: number[] = [];
  readonly #large: number[] = [];
  readonly #batches: readonly (readonly string[])[];
  readonly #timers: Timers;
  readonly #silenceMsMax: number;

  constructor(batches: readonly (readonly string[])[], timers: Timers, silenceMsMax: number) {
    this.#batches = batches;
    this.#timers = timers;
    this.#silenceMsMax = silenceMsMax;
    for (const [at, batch] of batches.entries())
      (batch.every((text) => text.length <= SMALL_CHARS) ? this.#small : this.#large).push(at);
    // Taken from the end.
    this.#small.reverse();
  }

  get hasLarge(): boolean {
    return this.#large.length > 0;
  }

  async parseHere(): Promise<void> {
    for (let at = this.#small.pop(); at !== undefined; at = this.#small.pop()) {
      this.results[at] = this.#batch(at).map((text) => parseOne(text));
      // The thread has answered meanwhile, and wants its next.
      await this.#timers.yieldLoop();
    }
  }

  /** Takes the large ones first: nobody else does. */
  async parseBeside(): Promise<void> {
    using thread = new ParseThread(this.#timers, this.#silenceMsMax);
    const next = (): number | undefined => this.#large.pop() ?? this.#small.pop();
    for (let at = next(); at !== undefined; at = next()) {
      const batch = this.#batch(at);
      this.results[at] = (await thread.parse(batch)) ?? (await this.#oneByOne(thread, batch));
    }
  }

  #batch(at: number): readonly string[] {
    return this.#batches[at] as readonly string[];
  }

  async #oneByOne(thread: ParseThread, batch: readonly string[]): Promise<ParsedDocument[]> {
    const results: ParsedDocument[] = [];
    for (const text of batch) results.push((await thread.parse([text]))?.[0] ?? unparsable(text, this.#silenceMsMax));
    return results;
  }
}

/** One thread at a time: a new one when the last died or fell silent. */
class ParseThread {
  readonly #timers: Timers;
  readonly #silenceMsMax: number;
  #worker: Worker | undefined;

  constructor(timers: Timers, silenceMsMax: number) {
    this.#timers = timers;
    this.#silenceMsMax = silenceMsMax;
  }

  /** undefined when the thread did not live to answer, or did not answer in time. */
  parse(texts: readonly string[]): Promise<ParsedDocument[] | undefined> {
    const worker = (this.#worker ??= startThread(new URL('./parse-worker.ts', import.meta.url), {
      heapMb: WORKER_HEAP_MB,
    }));
    return new Promise((resolve) => {
      const fail = (): void => {
        this[Symbol.dispose]();
        end(undefined);
      };
      const end = (parsed: ParsedDocument[] | undefined): void => {
        silence.cancel();
        worker.removeListener('message', end).removeListener('error', fail).removeListener('exit', fail);
        resolve(parsed);
      };
      const silence = this.#timers.after(this.#silenceMsMax, fail);
      worker.on('message', end).on('error', fail).on('exit', fail);
      worker.postMessage(texts satisfies ParseJob);
    });
  }

  [Symbol.dispose](): void {
    void this.#worker?.terminate();
    this.#worker = undefined;
  }
}

function unparsable(text: string, silenceMsMax: number): ParsedDocument {
  return {
    isGood: false,
    kind: undefined,
    name: undefined,
    isNamed: false,
    problems: [
      {
        line: 1,
        column: 1,
        path: '',
        message: `cannot be parsed within ${silenceMsMax / 1000} s and ${WORKER_HEAP_MB} MB (${text.length} characters)`,
        remedy: 'simplify the document',
      },
    ],
  };
}
