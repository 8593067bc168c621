/** Files of tests in a process of their own, and what it said in TAP. */
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

/** What one process runs. */
export interface TestRun {
  /** Files, one after the other: more than one where their room stands on nothing but this process. */
  readonly paths: readonly string[];
  /** Run with this engine alone: its outcomes say so. */
  readonly engine?: 'general';
  /** Sources whose lines count here; empty where none are counted. */
  readonly covers: readonly string[];
}

/** What became of one file. */
export interface Ran {
  /** The file's path, and the engine where it is told. */
  readonly name: string;
  readonly outcomes: readonly Outcome[];
  /** Lines for people: `G01 …`, `figure: …`, `missing: …`. */
  readonly figures: readonly string[];
  /** What failed, with what the assertion said. */
  readonly failures: readonly string[];
  readonly durationMs: number;
}

/** Seconds a file, and a little more, until its process is ended; tap may end what still runs before. */
const TIMEOUT_SEC = 300;
/** How much of a guarantee is tried when its file is run once more. */
const AGAIN = 0.5;
const PRELOAD = join(import.meta.dirname, 'preload.mjs');
const TOGETHER = join(import.meta.dirname, 'together.mjs');

/** `coverageDir`: where processes leave which lines ran. */
export async function runTests({ paths, engine, covers }: TestRun, coverageDir: string): Promise<Ran[]> {
  const env: NodeJS.ProcessEnv = { ...process.env, TAP: '1', TAP_TIMEOUT: String(TIMEOUT_SEC * paths.length) };
  if (engine !== undefined) {
    env['ENGINE'] = engine;
    env['GUARANTEE_SCALE'] = String(AGAIN * Number(env['GUARANTEE_SCALE'] ?? '1'));
  }
  if (covers.length > 0) {
    env['NODE_OPTIONS'] = `${env['NODE_OPTIONS'] ?? ''} --import=${PRELOAD}`;
    env['COVERED_FILES'] = covers.join('\n');
    env['COVERAGE_DIR'] = coverageDir;
  } else {
    // A third less of a start. Not where lines are counted: of code from the cache V8 tells only roughly which branches ran.
    env['NODE_COMPILE_CACHE'] ??= join(tmpdir(), 'node-compile-cache');
  }
  const args = paths.length === 1 ? paths : [TOGETHER, ...paths];
  const child = spawn(process.execPath, args, { env, stdio: ['ignore', 'pipe', 'inherit'] });
  const late = setTimeout(() => child.kill('SIGKILL'), (TIMEOUT_SEC + 15) * 1000);
  const ended = new Promise<string>((resolve) => {
    child.once('close', (code, signal) => resolve(code === 0 ? '' : `it ended with ${signal ?? code}`));
  });
  const said = new Said(paths, engine === undefined ? '' : ` (${engine} engine)`);
  for await (const line of createInterface({ input: child.stdout })) {
    if (line.startsWith('# file ')) late.refresh();
    said.line(line);
  }
  const end = await ended;
  clearTimeout(late);
  return said.judged(end);
}

class FileSaid {
  readonly path: string;
  readonly name: string;
  readonly outcomes: Outcome[] = [];
  readonly figures: string[] = [];
  readonly failures: string[] = [];
  durationMs = 0;
  readonly #suffix: string;

  constructor(path: string, suffix: string) {
    this.path = path;
    this.name = `${path}${suffix}`;
    this.#suffix = suffix;
  }

  note(test: string, outcome: Outcome['outcome'], durationMs: number): void {
    this.outcomes.push({
      name: `${this.path} > ${test}${this.#suffix}`,
      outcome,
      durationMs: Math.round(durationMs),
    });
  }
}

/** What is read of a process: an outcome for each test of the first level, and each assertion that failed at any. */
class Said {
  readonly #files: readonly FileSaid[];
  readonly #parser: Parser = new Parser();
  #now: FileSaid;
  #since: number = performance.now();

  constructor(paths: readonly string[], suffix: string) {
    this.#files = paths.map((path) => new FileSaid(path, suffix));
    this.#now = this.#files[0] as FileSaid;
    this.#listen(this.#parser, '');
    this.#parser.on('assert', ({ ok, name, skip, time }) =>
      this.#now.note(name, skip ? 'skipped' : ok ? 'passed' : 'failed', time ?? 0),
    );
  }

  line(text: string): void {
    this.#parser.write(`${text}\n`);
  }

  /** `end` is how the process ended, empty when it ended well. A file that says nothing, or ends badly without a test that failed, is one outcome. */
  judged(end: string): Ran[] {
    this.#parser.end();
    this.#turnTo(this.#now);
    const isGood = end === '' && this.#parser.ok;
    const isTold = this.#files.some(({ outcomes }) => outcomes.some(({ outcome }) => outcome === 'failed'));
    for (const file of this.#files) {
      const isLost = !isGood && (file.outcomes.length === 0 || (file === this.#now && !isTold));
      if (isLost) file.failures.push(`${file.name}: ${end === '' ? 'what it says is not TAP' : end}`);
      if (isLost || file.outcomes.length === 0) file.note('the file as a whole', isLost ? 'failed' : 'passed', 0);
    }
    return [...this.#files];
  }

  #turnTo(file: FileSaid): void {
    const now = performance.now();
    this.#now.durationMs += Math.round(now - this.#since);
    this.#since = now;
    this.#now = file;
  }

  #listen(parser: Parser, place: string): void {
    // Of the parser, not of the lines: it tells of a test only when it has read on.
    parser.on('comment', (text: string) => {
      const [, path, figure] = /^# (?:file (\S+)|((?:G\d\d|figure|missing)\b.*))\n$/.exec(text) ?? [];
      const next = this.#files.find((file) => file.path === path);
      if (next !== undefined) this.#turnTo(next);
      if (figure !== undefined) this.#now.figures.push(figure);
    });
    parser.on('child', (child: Parser) => this.#listen(child, `${place} > ${child.name}`));
    parser.on('assert', ({ ok, name, skip, todo, diag }) => {
      if (!ok && !skip && !todo) this.#now.failures.push(`${this.#now.name}${place} > ${name}\n${indented(diag)}`);
    });
  }
}

function indented(value: unknown): string {
  return JSON.stringify(value ?? null, null, 2)
    .slice(0, 4000)
    .replaceAll(/^/gm, '    ');
}
