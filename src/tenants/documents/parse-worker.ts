/** The other side of parse-many.ts: parses one batch of texts and posts the results in their order. */
import { type MessagePort, parentPort } from 'node:worker_threads';
import type { Kind } from '../schema.ts';
import { parseOne } from './parse.ts';

export interface ParseJob {
  readonly texts: readonly string[];
  readonly kinds: readonly Kind[];
}

const port = parentPort as MessagePort;
port.on('message', ({ texts, kinds }: ParseJob) => {
  port.postMessage(texts.map((text) => parseOne(text, kinds)));
});
