/** The loader in its thread: looks go out by `parentPort`, the parts of a change by a port of their own, where they are fetched. */
import { type MessagePort, parentPort } from 'node:worker_threads';
import { systemClock, systemHeap, systemTimers } from '../core/index.ts';
import { Loader, type LoaderOptions, type Look } from './loader.ts';
import { threadData } from './thread.ts';

export interface LoaderData {
  readonly options: LoaderOptions;
  readonly parts: MessagePort;
}

/**
 * - `published`: the last look is in force. - `look`: look now, answer `looked`. - `close`: write what is unwritten, and end.
 */
export type ToLoader =
  | { readonly do: 'published' }
  | { readonly do: 'look'; readonly id: number }
  | { readonly do: 'close' };

export type FromLoader =
  | { readonly is: 'found'; readonly look: Omit<Look, 'parts'> }
  | { readonly is: 'started' }
  | { readonly is: 'looked'; readonly id: number }
  | { readonly is: 'warning'; readonly event: string; readonly facts: Readonly<Record<string, unknown>> };

const port = parentPort as MessagePort;
const { options, parts } = threadData<LoaderData>();
const send = (message: FromLoader): void => port.postMessage(message);
let published = (): void => {};

const loader = new Loader(options, {
  clock: systemClock,
  timers: systemTimers,
  warn: (event, facts) => send({ is: 'warning', event, facts }),
  shrink: () => systemHeap.shrink(),
  publish: (look) =>
    new Promise((resolve) => {
      published = resolve;
      const { parts: made, ...found } = look;
      // First: the loop takes a part while the next is made.
      send({ is: 'found', look: found });
      for (const part of made)
        parts.postMessage(
          part,
          part.kind === 'Tenant' ? [part.documents.bytes.buffer, part.documents.ends.buffer] : [],
        );
    }),
});

port.on('message', (message: ToLoader) => {
  if (message.do === 'published') published();
  else if (message.do === 'look') void loader.look().then(() => send({ is: 'looked', id: message.id }));
  else void loader.close().then(() => port.close());
});
await loader.start();
send({ is: 'started' });
