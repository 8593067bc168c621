import type { Headers } from '../wire/index.ts';
import type { Exchange } from './exchange.ts';
import type { Outcome } from './outcome.ts';
import type { KeptAnswer, Reply } from './reply.ts';

/** `undefined`: go on. A Reply, or an answer from before: stop and answer. It is returned, never sent, so no stage can both answer and continue. */
export type Verdict = Reply | KeptAnswer | undefined;

/** The head of a response on its way to the client; stages may change its fields. Theirs until they return: the next is another's. */
export interface ResponseHead {
  /** Status code of an upstream's answer; of our own replies, what rescue made of them. */
  readonly status: number;
  readonly headers: Headers;
}

/**
 * A stage. Built once per configuration generation; keeps no state of a request of its own.
 * `Needs` is what the exchange must already carry, `Adds` what this stage puts there.
 * The phases are properties, not methods: only so does the compiler check their parameters strictly.
 */
export interface Filter<Needs extends Exchange = Exchange, Adds = unknown> {
  /** Metric label and log field: `[a-z_]+`. */
  readonly name: string;
  /** Fail closed or fail open when the stage throws: said here and nowhere else. */
  readonly onThrow: 'deny' | 'skip';
  /** Types only, never set. */
  readonly adds?: Adds;
  /** Outermost first. */
  readonly onRequest?: (x: Needs) => Verdict | Promise<Verdict>;
  /** Innermost first; also for replies of our own. Only the stages that saw the request. */
  readonly onResponse?: (x: Needs & Partial<Adds>, head: ResponseHead) => void;
  /** Once, synchronous, after the last byte, whatever became of the request. Innermost first. Must not throw. */
  readonly onDone?: (x: Needs & Partial<Adds>, outcome: Outcome) => void;
}
