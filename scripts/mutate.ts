/**
 * `npm run mutate [-- FILE…]`: mutation testing of the byte readers. Puts one small fault after the other into each file, runs the
 * tests of its room on it, and says how many faults the tests notice. A fault that makes a test run for too long is noticed.
 * Prints those that nobody noticed; ends with 1 below the score.
 */
import { globSync, readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { basename } from 'node:path';
import { pathToFileURL } from 'node:url';
import { Worker } from 'node:worker_threads';
import { type Mutant, mutantsOf } from './mutate/mutants.ts';
import type { Trial } from './mutate/runner.ts';

/** Percent of the mutants that must be killed. */
const SCORE = 90;
/** A good run takes a fraction of a second. */
const TRIAL_MS = 10_000;
const FILES = [
  ...['bytes', 'known-fields', 'field-table', 'request-reader', 'response-reader', 'chunked-reader'],
  ...['chunk-writer', 'head-writer'],
].map((name) => `src/wire/${name}.ts`);

interface Job {
  readonly file: string;
  readonly mutant: Mutant;
}

class Tester {
  readonly #tests: readonly string[];
  #worker: Worker | undefined;
  static #ids = 0;

  constructor(tests: readonly string[]) {
    this.#tests = tests;
  }

  /** Whether the tests notice `source` in the place of `file`. */
  async isKilled(file: string, source: string): Promise<boolean> {
    this.#worker ??= new Worker(new URL('./mutate/runner.ts', import.meta.url), {
      workerData: { tests: this.#tests, fresh: ['src/wire/', 'test/helpers/pieces.ts'].map(urlOf) },
    });
    const worker = this.#worker;
    const trial: Trial = { id: Tester.#ids++, url: urlOf(file), source };
    return await new Promise((resolve) => {
      const end = (killed: boolean, isLost: boolean): void => {
        clearTimeout(timer);
        worker.off('message', onMessage).off('error', onError);
        if (isLost) this.#replace(worker);
        resolve(killed);
      };
      const onMessage = (killed: boolean): void => end(killed, false);
      const onError = (): void => end(true, true);
      const timer = setTimeout(onError, TRIAL_MS);
      worker.on('message', onMessage).on('error', onError);
      worker.postMessage(trial);
    });
  }

  #replace(worker: Worker): void {
    this.#worker = undefined;
    worker.on('error', () => {});
    void worker.terminate();
  }

  async close(): Promise<void> {
    await this.#worker?.terminate();
  }
}

function urlOf(path: string): string {
  return pathToFileURL(path).href;
}

/** The file's own test first: it is the likeliest to notice. */
function testsFor(file: string): string[] {
  const own = `test/wire/${basename(file, '.ts')}.test.ts`;
  const all = globSync('test/wire/*.test.ts').sort();
  return [...all.filter((each) => each === own), ...all.filter((each) => each !== own)].map(urlOf);
}

async function tryAll(file: string, source: string): Promise<{ mutants: number; survivors: Mutant[] }> {
  const jobs: Job[] = mutantsOf(file, source).map((mutant) => ({ file, mutant }));
  const mutants = jobs.length;
  const survivors: Mutant[] = [];
  const work = async (): Promise<void> => {
    const tester = new Tester(testsFor(file));
    for (let job = jobs.shift(); job !== undefined; job = jobs.shift()) {
      const { from, to, after } = job.mutant;
      if (!(await tester.isKilled(file, source.slice(0, from) + after + source.slice(to)))) survivors.push(job.mutant);
    }
    await tester.close();
  };
  await Promise.all(Array.from({ length: Math.min(2, availableParallelism()) }, work));
  return { mutants, survivors: survivors.sort((a, b) => a.from - b.from) };
}

const files = process.argv.length > 2 ? process.argv.slice(2) : FILES;
let [mutants, killed] = [0, 0];
for (const file of files) {
  const source = readFileSync(file, 'utf8');
  const whole = new Tester(testsFor(file));
  if (await whole.isKilled(file, source)) throw new Error(`the tests fail on ${file} as it is`);
  await whole.close();
  const result = await tryAll(file, source);
  mutants += result.mutants;
  killed += result.mutants - result.survivors.length;
  for (const { line, before, after } of result.survivors)
    process.stdout.write(`survived ${file}:${line}  ${oneLine(before)}  →  ${oneLine(after)}\n`);
  const share = (100 * (result.mutants - result.survivors.length)) / result.mutants;
  process.stdout.write(
    `${file}: ${result.mutants - result.survivors.length} of ${result.mutants}, ${share.toFixed(1)} %\n`,
  );
}
const score = (100 * killed) / mutants;
process.stdout.write(
  `figure: mutation score of the byte readers ${score.toFixed(1)} % (${killed} of ${mutants} killed)\n`,
);
process.exitCode = score >= SCORE ? 0 : 1;

function oneLine(text: string): string {
  const line = text.replaceAll(/\s+/g, ' ');
  return line.length > 90 ? `${line.slice(0, 90)}…` : line;
}
