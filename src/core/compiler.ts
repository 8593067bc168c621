/** V8's optimising compiler, as far as it can be told what to do while the program runs. */
import { setFlagsFromString } from 'node:v8';

/**
 * What one function may take in of those it calls, bytes of their code; V8's own bound is 920. A request runs through many small functions
 * once each, and with 2,000 costs 4 % less CPU time; more than that brought nothing (docs/decisions/0023-inlining.md).
 */
const INLINED_BYTES_MAX = 2000;

/**
 * Inlines more, in code that is optimised from now on, in all threads of the process. Not before a program is loaded: code that is kept
 * between starts, Node's own too, is good only under the flags that it was compiled with.
 */
export function inlineMore(): void {
  setFlagsFromString(`--max-inlined-bytecode-size-cumulative=${INLINED_BYTES_MAX}`);
}
