/** The findings of one look at the files. However many there are, only so many are placed and kept; the rest is a number. */
import type { LoadedDocument, LoadedFile } from '../documents/load.ts';
import { type PlacedProblem, placeProblem } from '../documents/parse.ts';
import type { Problem } from '../findings.ts';
import type { Finding } from '../model.ts';

/** Findings kept and shown: more than a person reads, less than a page of the admin API. */
export const FINDINGS_MAX = 1000;

/** The place of a finding that is about the directory as a whole; whoever knows its path writes that there. */
export const DIRECTORY = '';

/** Where a finding stands. */
export interface Standing {
  readonly file: LoadedFile;
  readonly loaded: LoadedDocument;
}

export class Complaints {
  readonly #list: Finding[] = [];
  readonly #spoilt: Set<string>;
  #errors = 0;
  #more = 0;

  /** `spoilt`: files that are known to be so. */
  constructor(spoilt: Iterable<string> = []) {
    this.#spoilt = new Set(spoilt);
  }

  /** Files with a document that cannot be used. */
  get spoilt(): ReadonlySet<string> {
    return this.#spoilt;
  }

  get errors(): number {
    return this.#errors;
  }

  list(): readonly Finding[] {
    if (this.#more === 0) return this.#list;
    const message = `${this.#more} more problems are not shown`;
    return [...this.#list, { ...plainFinding(DIRECTORY, message, 'mend those that are shown'), severity: 'warning' }];
  }

  /** About a file, or about the directory. */
  plain(file: string, message: string, remedy: string, facts: Partial<Finding> = {}): void {
    this.#add(facts.severity ?? 'error', () => ({ ...plainFinding(file, message, remedy), ...facts }));
  }

  /** About a document, at a place that the parser found. */
  placed(
    { file, loaded }: Standing,
    problem: PlacedProblem,
    severity: Finding['severity'] = 'error',
    facts: Partial<Finding> = {},
  ): void {
    if (severity === 'error') this.#spoilt.add(file.path);
    this.#add(severity, () => {
      const { kind, name } = loaded.parsed;
      const line = lineOf(file, loaded.offset) + problem.line - 1;
      return { severity, file: file.path, kind, name, ...problem, line, ...facts };
    });
  }

  /** About a document that is good by itself: its place is found when it is shown. */
  found(
    standing: Standing,
    path: Problem['path'],
    message: string,
    remedy: string,
    severity: Finding['severity'] = 'error',
    facts: Partial<Finding> = {},
  ): void {
    if (severity === 'error') this.#spoilt.add(standing.file.path);
    if (this.#list.length >= FINDINGS_MAX) this.#add(severity, () => plainFinding('', '', ''));
    else this.placed(standing, placeOnce(standing.loaded, { path, isKey: false, message, remedy }), severity, facts);
  }

  /** A document that cannot be used, for a reason that is said elsewhere. */
  spoils({ file }: Standing): void {
    this.#spoilt.add(file.path);
  }

  #add(severity: Finding['severity'], make: () => Finding): void {
    if (severity === 'error') this.#errors++;
    if (this.#list.length < FINDINGS_MAX) this.#list.push(make());
    else this.#more++;
  }
}

/** With the path of the directory where that is what it is about. */
export function namingDirectory(findings: readonly Finding[], dir: string): Finding[] {
  return findings.map((each) => (each.file === DIRECTORY ? { ...each, file: dir } : each));
}

export function plainFinding(file: string, message: string, remedy: string): Finding {
  return { severity: 'error', file, line: 0, column: 0, kind: undefined, name: undefined, path: '', message, remedy };
}

const places = new WeakMap<LoadedDocument['parsed'], Map<string, PlacedProblem>>();

/** Placing parses the document again: once for each problem, however often it is said. */
function placeOnce({ text, parsed }: LoadedDocument, problem: Problem): PlacedProblem {
  const known = places.get(parsed) ?? new Map<string, PlacedProblem>();
  places.set(parsed, known);
  const key = problem.path.join('.');
  const { line, column, path } = known.get(key) ?? placeProblem(text, problem);
  const placed = { line, column, path, message: problem.message, remedy: problem.remedy };
  known.set(key, placed);
  return placed;
}

/** Where a document's text begins, behind the end of the line of its marker. */
export function placeOf({ file, loaded: { text, offset } }: Standing): string {
  return `${file.path}:${lineOf(file, offset + text.search(/\S/))}`;
}

const lineStarts = new WeakMap<LoadedFile, readonly number[]>();

/** 1-based line of an offset; the lines of a file are counted once. */
function lineOf(file: LoadedFile, offset: number): number {
  let starts = lineStarts.get(file);
  if (starts === undefined) {
    const found = [0];
    for (let at = file.text.indexOf('\n'); at !== -1; at = file.text.indexOf('\n', at + 1)) found.push(at + 1);
    lineStarts.set(file, (starts = found));
  }
  let [low, high] = [0, starts.length];
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if ((starts[middle] as number) <= offset) low = middle;
    else high = middle;
  }
  return low + 1;
}
