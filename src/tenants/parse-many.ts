/**
 * Parses texts without holding the loop: a few small ones here, between two turns of the loop; everything else in threads that
 * live as long as the job, with a bound on memory and on time without a result.
 */
import { Worker } from 'node:worker_threads';
import type { Timers } from '../core/index.ts';
import { DOCUMENT_BYTES_MAX, type ParsedDocument, parseOne } from './parse.ts';
import type { ParseBatch, ParseJob } from './parse-worker.ts';
import type { Kind } from './schema.ts';

/** The kinds a tenancy directory may hold. */
export const TENANCY_KINDS: readonly Kind[] = ['Plan', 'Tenant', 'IdentityProvider', 'Route'];

/** 2 KiB parse in about 1 ms; a thread starts in about 150. */
const SMALL_CHARS = 2048;
const FEW = 64;
/** A second thread pays from here on. Two: beside them runs the loop that moves requests. */
const MANY = 1000;
const THREADS = 2;
/** A megabyte of hostile YAML takes seconds; what takes longer than this is refused. */
const SILENCE_MS_MAX = 20_000;
const WORKER_HEAP_MB = 512;

/** Results in the order of `texts`. `threads` share the work. */
export async function parseMany(texts: readonly string[], timers: Timers): Promise<ParsedDocument[]> {
  if (texts.length <= FEW && texts.every((text) => text.length <= SMALL_CHARS)) {
    const results: ParsedDocument[] = [];
    for (const text of texts) {
      if (results.length > 0) await timers.yieldLoop();
      results.push(parseOne(text, TENANCY_KINDS));
    }
    return results;
  }
  const share = Math.ceil(texts.length / (texts.length < MANY ? 1 : THREADS));
  const parts: Promise<ParsedDocument[]>[] = [];
  for (let from = 0; from < texts.length; from += share)
    parts.push(parseInThread(texts.slice(from, from + share), timers));
  return (await Promise.all(parts)).flat();
}

async function parseInThread(texts: readonly string[], timers: Timers): Promise<ParsedDocument[]> {
  const results: ParsedDocument[] = [];
  while (results.length < texts.length) {
    results.push(...(await runThread(texts.slice(results.length), timers)));
    // The thread died or went silent in the next document: that one is refused, the rest is tried again.
    if (results.length < texts.length) results.push(unparsable(texts[results.length] as string));
  }
  return results;
}

/** Sending copies the texts: 200 of them in well under a millisecond. */
const SEND_AT_ONCE = 200;

async function postInSlices(worker: Worker, texts: readonly string[], timers: Timers): Promise<void> {
  for (let from = 0; from < texts.length; from += SEND_AT_ONCE) {
    worker.postMessage({ texts: texts.slice(from, from + SEND_AT_ONCE), kinds: TENANCY_KINDS } satisfies ParseJob);
    await timers.yieldLoop();
  }
}

/** As many results as the thread gave before it ended, in order. */
function runThread(texts: readonly string[], timers: Timers): Promise<ParsedDocument[]> {
  return new Promise((resolve) => {
    const results: ParsedDocument[] = [];
    const worker = new Worker(new URL('./parse-worker.ts', import.meta.url), {
      resourceLimits: { maxOldGenerationSizeMb: WORKER_HEAP_MB },
    });
    const end = (): void => {
      silence.cancel();
      void worker.terminate();
      resolve(results);
    };
    let silence = timers.after(SILENCE_MS_MAX, end);
    worker.on('message', ({ parsed }: ParseBatch) => {
      silence.cancel();
      silence = timers.after(SILENCE_MS_MAX, end);
      for (const each of parsed) results.push(each);
      if (results.length === texts.length) end();
    });
    worker.on('error', end);
    worker.on('exit', end);
    void postInSlices(worker, texts, timers);
  });
}

function unparsable(text: string): ParsedDocument {
  const size = Math.min(text.length, DOCUMENT_BYTES_MAX);
  return {
    isGood: false,
    kind: undefined,
    name: undefined,
    problems: [
      {
        line: 1,
        column: 1,
        path: '',
        message: `cannot be parsed within ${SILENCE_MS_MAX / 1000} s and ${WORKER_HEAP_MB} MB (${size} characters)`,
        remedy: 'simplify the document',
      },
    ],
  };
}
