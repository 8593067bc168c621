/** The store in its thread: calls come in, answers go out, in the order in which they are done. */
import { type MessagePort, parentPort, workerData } from 'node:worker_threads';
import { ReeveError } from '../../core/index.ts';
import { DuckRollups, type DuckRollupsOptions } from './duck-rollups.ts';

export type Method = 'apply' | 'query' | 'reconcile' | 'export' | 'save' | 'tidy' | 'figures' | 'close';

/** `id` 0: the opening, whose value is the store's word. */
export interface Call {
  readonly id: number;
  readonly method: Method;
  readonly args: readonly unknown[];
}

export type Answer =
  | { readonly id: number; readonly value: unknown }
  | { readonly id: number; readonly failure: Failure };

export interface Failure {
  readonly message: string;
  /** Of a ReeveError. */
  readonly code?: string;
  readonly place?: string;
  readonly remedy?: string;
}

const port = parentPort as MessagePort;
const answer = (message: Answer): void => port.postMessage(message);

async function serve(): Promise<void> {
  const store = await DuckRollups.open(workerData as DuckRollupsOptions);
  answer({ id: 0, value: store.word });
  port.on('message', ({ id, method, args }: Call) => {
    const run = store[method] as (...args: unknown[]) => Promise<unknown>;
    run.apply(store, args.map(received)).then(
      (value) => {
        answer({ id, value });
        if (method === 'close') port.close();
      },
      (cause: unknown) => answer({ id, failure: failureOf(cause) }),
    );
  });
}

/** Bytes come as plain ones. */
function received(value: unknown): unknown {
  return value instanceof Uint8Array ? Buffer.from(value.buffer, value.byteOffset, value.length) : value;
}

function failureOf(cause: unknown): Failure {
  const { message } = cause as Error;
  if (!(cause instanceof ReeveError)) return { message };
  const { code, place, remedy } = cause;
  return { message, code, ...(place === undefined ? {} : { place }), ...(remedy === undefined ? {} : { remedy }) };
}

await serve().catch((cause: unknown) => answer({ id: 0, failure: failureOf(cause) }));
