/** A thread that tries mutants: each gets modules of its own, of which one is the mutated file, and runs the tests on them. */
import { registerHooks } from 'node:module';
import { parentPort, workerData } from 'node:worker_threads';
import { forgetTests, runTests } from './tap.ts';

export interface Trial {
  readonly id: number;
  /** URL of the mutated file, and what stands in it. */
  readonly url: string;
  readonly source: string;
}

const { fresh, tests } = workerData as { readonly fresh: readonly string[]; readonly tests: readonly string[] };
const shim = new URL('./tap.ts', import.meta.url).href;
let trial: Trial | undefined;

registerHooks({
  resolve(specifier, context, next) {
    if (specifier === 'tap') return { url: shim, shortCircuit: true };
    const resolved = next(specifier, context);
    const isFresh = fresh.some((each) => resolved.url.startsWith(each));
    return isFresh ? { ...resolved, url: `${resolved.url}?mutant=${trial?.id}` } : resolved;
  },
  load(url, context, next) {
    if (trial === undefined || url !== `${trial.url}?mutant=${trial.id}`) return next(url, context);
    return { format: 'module-typescript', source: trial.source, shortCircuit: true };
  },
});

/** What the first test that fails on the mutant says, or why it cannot even be loaded; undefined when none fails. */
async function noticed(): Promise<string | undefined> {
  for (const test of tests) {
    try {
      await import(`${test}?mutant=${trial?.id}`);
      await runTests();
    } catch (cause) {
      forgetTests();
      return `${test}: ${cause}`;
    }
  }
  return undefined;
}

parentPort?.on('message', (next: Trial) => {
  trial = next;
  void noticed().then((what) => parentPort?.postMessage(what));
});
