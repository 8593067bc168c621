/** The other side of parse-many.ts: parses texts in a thread and posts results in small batches. */
import { parentPort } from 'node:worker_threads';
import { type ParsedDocument, parseOne } from './parse.ts';
import type { Kind } from './schema.ts';

export interface ParseJob {
  readonly texts: readonly string[];
  readonly kinds: readonly Kind[];
}

/** Results in the order of the texts. */
export interface ParseBatch {
  readonly parsed: readonly ParsedDocument[];
}

/** 50 documents are read back from the thread in about 0.3 ms, so that no batch holds the receiving loop. */
const BATCH = 50;

parentPort?.on('message', ({ texts, kinds }: ParseJob) => {
  for (let from = 0; from < texts.length; from += BATCH) {
    const parsed = texts.slice(from, from + BATCH).map((text) => parseOne(text, kinds));
    parentPort?.postMessage({ parsed } satisfies ParseBatch);
  }
});
