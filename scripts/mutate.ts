/**
 * `npm run mutate [-- FILE…]`: mutation testing of the byte readers. Puts one small fault after the other into each file, runs the
 * tests of its room on it, and says how many faults the tests notice. A fault that makes a test run for too long is noticed.
 * Prints those that nobody noticed; ends with 1 below the score.
 */
import { globSync, readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { basename } from 'node:path';
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
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

  /** By what the tests notice `source` in the place of `file`; undefined when they do not. */
  async noticed(file: string, source: string): Promise<string | undefined> {
    this.#worker ??= new Worker(new URL('./mutate/runner.ts', import.meta.url), {
      workerData: { tests: this.#tests, fresh: ['src/wire/', 'test/helpers/pieces.ts'].map(urlOf) },
    });
    const worker = this.#worker;
    const trial: Trial = { id: Tester.#ids++, url: urlOf(file), source };
    return await new Promise((resolve) => {
      const end = (what: string | undefined, isLost: boolean): void => {
        clearTimeout(timer);
        worker.off('message', onMessage).off('error', onError);
        if (isLost) this.#replace(worker);
        resolve(what);
      };
      const onMessage = (what: string | undefined): void => end(what, false);
      const onError = (cause: unknown): void => end(String(cause), true);
      const timer = setTimeout(onError, TRIAL_MS, `no end after ${TRIAL_MS / 1000} s`);
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
      const what = await tester.noticed(file, source.slice(0, from) + after + source.slice(to));
      if (what === undefined) survivors.push(job.mutant);
    }
    await tester.close();
  };
  await Promise.all(Array.from({ length: Math.min(2, availableParallelism()) }, work));
  return { mutants, survivors: survivors.sort((a, b) => a.from - b.from) };
}

const USAGE = `npm run mutate [-- FILE…]

Puts one small fault after the other into each FILE, runs the tests of test/wire on it, and prints those that no test notices, then the
score; ends with 1 below ${SCORE} %. Some minutes for all files:
${FILES.map((file) => `  ${file}\n`).join('')}`;
const { files, help } = given();
if (help) {
  process.stdout.write(USAGE);
  process.exit();
}
let [mutants, killed] = [0, 0];
for (const file of files) {
  const source = readFileSync(file, 'utf8');
  const whole = new Tester(testsFor(file));
  const broken = await whole.noticed(file, source);
  if (broken !== undefined) {
    process.stderr.write(
      `the tests of test/wire fail on ${file} as it is, so no fault can be told from none: ${broken}\n`,
    );
    process.exit(1);
  }
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

function given(): { readonly files: readonly string[]; readonly help: boolean } {
  try {
    const options = { help: { type: 'boolean', short: 'h', default: false } } as const;
    const { values, positionals } = parseArgs({ options, allowPositionals: true });
    const unknown = positionals.find((file) => !FILES.includes(file));
    if (unknown !== undefined) throw new Error(`${unknown} is none of the files it is for`);
    return { files: positionals.length > 0 ? positionals : FILES, help: values.help };
  } catch (cause) {
    process.stderr.write(`${(cause as Error).message}\n\n${USAGE}`);
    process.exit(2);
  }
}

function oneLine(text: string): string {
  const line = text.replaceAll(/\s+/g, ' ');
  return line.length > 90 ? `${line.slice(0, 90)}…` : line;
}
