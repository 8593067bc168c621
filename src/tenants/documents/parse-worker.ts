/** The other side of parse-many.ts: parses one batch of texts and posts the results in their order. */
import { type MessagePort, parentPort } from 'node:worker_threads';
import { parseOne } from './parse.ts';

export type ParseJob = readonly string[];

const port = parentPort as MessagePort;
port.on('message', (texts: ParseJob) => {
  port.postMessage(texts.map(parseOne));
});
