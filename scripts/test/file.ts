/** One file of tests as a process of its own, and what it said in TAP. */
import { spawn } from 'node:child_process';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { Parser } from 'tap-parser';

export interface Outcome {
  readonly name: string;
  readonly outcome: 'passed' | 'failed' | 'skipped';
  readonly durationMs: number;
}

export interface TestFile {
  readonly path: string;
  /** Run with this engine alone: its outcomes say so. */
  readonly engine?: 'general';
  /** Sources whose lines count here; empty where none are counted. */
  readonly covers: readonly string[];
}

export interface Ran {
  /** The file's path, and the engine where it is told. */
  readonly name: string;
  readonly outcomes: readonly Outcome[];
  /** Lines for people: `G01 …`, `figure: …`, `missing: …`. */
  readonly figures: readonly string[];
  /** What failed, with what the assertion said. */
  readonly failures: readonly string[];
  readonly isGood: boolean;
  readonly durationMs: number;
}

/** Seconds until tap ends a test; the whole file is ended a little later, should it not listen. */
const TIMEOUT_SEC = 300;
const PRELOAD = join(import.meta.dirname, 'preload.mjs');

/** `coverageDir`: where processes leave which lines ran. */
export async function runFile({ path, engine, covers }: TestFile, coverageDir: string): Promise<Ran> {
  const began = performance.now();
  const env: NodeJS.ProcessEnv = { ...process.env, TAP: '1', TAP_TIMEOUT: String(TIMEOUT_SEC) };
  if (engine !== undefined) env['ENGINE'] = engine;
  if (covers.length > 0) {
    env['NODE_OPTIONS'] = `${env['NODE_OPTIONS'] ?? ''} --import=${PRELOAD}`;
    env['COVERED_FILES'] = covers.join('\n');
    env['COVERAGE_DIR'] = coverageDir;
  } else {
    // A third less of a start. Not where lines are counted: of code from the cache V8 tells only roughly which branches ran.
    env['NODE_COMPILE_CACHE'] ??= join(tmpdir(), 'node-compile-cache');
  }
  const child = spawn(process.execPath, [path], { env, stdio: ['ignore', 'pipe', 'inherit'] });
  const late = setTimeout(() => child.kill('SIGKILL'), (TIMEOUT_SEC + 15) * 1000);
  const ended = new Promise<string>((resolve) => {
    child.once('close', (code, signal) => resolve(code === 0 ? '' : `it ended with ${signal ?? code}`));
  });
  const suffix = engine === undefined ? '' : ` (${engine} engine)`;
  const said = new Said(path, suffix);
  for await (const line of createInterface({ input: child.stdout })) said.line(line);
  const end = await ended;
  clearTimeout(late);
  return { name: `${path}${suffix}`, ...said.judged(end), durationMs: Math.round(performance.now() - began) };
}

/** What is read of a file: an outcome for each test of the first level, and each assertion that failed at any. */
class Said {
  readonly #path: string;
  readonly #suffix: string;
  readonly #parser: Parser = new Parser();
  readonly #outcomes: Outcome[] = [];
  readonly #figures: string[] = [];
  readonly #failures: string[] = [];

  constructor(path: string, suffix: string) {
    this.#path = path;
    this.#suffix = suffix;
    this.#listen(this.#parser, path);
    this.#parser.on('assert', ({ ok, name, skip, time }) =>
      this.#note(name, skip ? 'skipped' : ok ? 'passed' : 'failed', time ?? 0),
    );
  }

  line(text: string): void {
    this.#parser.write(`${text}\n`);
    const figure = /^\s*# ((?:G\d\d|figure|missing)\b.*)$/.exec(text)?.[1];
    if (figure !== undefined) this.#figures.push(figure);
  }

  /** `end` is how the process ended, empty when it ended well. A file that says nothing, or fails without a test that did, is one outcome. */
  judged(end: string): Pick<Ran, 'outcomes' | 'figures' | 'failures' | 'isGood'> {
    this.#parser.end();
    const isGood = end === '' && this.#parser.ok;
    const isTold = this.#outcomes.some(({ outcome }) => outcome === 'failed');
    if (this.#outcomes.length === 0 || (!isGood && !isTold)) {
      this.#note('the file as a whole', isGood ? 'passed' : 'failed', 0);
      if (!isGood) this.#failures.push(`${this.#path}${this.#suffix}: ${end === '' ? 'its TAP is no TAP' : end}`);
    }
    return { outcomes: this.#outcomes, figures: this.#figures, failures: this.#failures, isGood };
  }

  #note(name: string, outcome: Outcome['outcome'], durationMs: number): void {
    this.#outcomes.push({
      name: `${this.#path} > ${name}${this.#suffix}`,
      outcome,
      durationMs: Math.round(durationMs),
    });
  }

  #listen(parser: Parser, place: string): void {
    parser.on('child', (child: Parser) => this.#listen(child, `${place} > ${child.name}`));
    parser.on('assert', ({ ok, name, skip, todo, diag }) => {
      if (!ok && !skip && !todo) this.#failures.push(`${place} > ${name}${this.#suffix}\n${indented(diag)}`);
    });
  }
}

function indented(value: unknown): string {
  return JSON.stringify(value ?? null, null, 2)
    .slice(0, 4000)
    .replaceAll(/^/gm, '    ');
}
