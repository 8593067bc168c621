/**
 * One document's text to a validated document, or to problems with line and column. Hostile input is the normal case: every
 * bound is checked before the work it bounds.
 */
import {
  isAlias,
  isCollection,
  isMap,
  isScalar,
  LineCounter,
  type ParsedNode,
  parseDocument,
  type ScalarTag,
  Schema,
  visit,
  type Document as YamlDocument,
  type Node as YamlNode,
} from 'yaml';
import type { Problem } from '../findings.ts';
import { IdentityProvider, Plan, Route, Tenant } from '../generated/validators.js';
import { isName, keyOf } from '../name.ts';
import type { Kind } from '../schema.ts';
import { problemsIn, type Validators } from './judge.ts';

/** A problem at its place, lines counted from the beginning of the document. */
export interface PlacedProblem {
  readonly line: number;
  readonly column: number;
  readonly path: string;
  readonly message: string;
  readonly remedy: string | undefined;
}

export interface GoodDocument {
  readonly isGood: true;
  readonly kind: Kind;
  readonly name: string;
  readonly key: string;
  /** The document as JSON: what stays in memory is one text, not ten objects. */
  readonly json: string;
  readonly warnings: readonly PlacedProblem[];
}

export interface BrokenDocument {
  readonly isGood: false;
  /** As far as they can be made out, for people. */
  readonly kind: string | undefined;
  readonly name: string | undefined;
  /** Whether `kind` and `name` are certain: then that object is kept as it is; otherwise any object of the file may be meant. */
  readonly isNamed: boolean;
  readonly problems: readonly PlacedProblem[];
}

export type ParsedDocument = GoodDocument | BrokenDocument;

export const DOCUMENT_BYTES_MAX = 2 ** 20;
const DEPTH_MAX = 32;
/** Nodes of a document with its aliases expanded; and, before anything is parsed, its lines and commas. */
const NODES_MAX = 10_000;
const PROBLEMS_MAX = 20;
/** Of a key in a message. */
const KEY_CHARS_MAX = 80;
/** The kinds a tenancy directory may hold. */
const VALIDATORS: Validators = { Plan, Tenant, IdentityProvider, Route };
const KINDS = Object.keys(VALIDATORS) as Kind[];
const POLLUTING: ReadonlySet<string> = new Set(['__proto__', 'constructor', 'prototype']);

/** `5_000_000`: YAML 1.2 reads it as text, ours as the number it is. */
const underscoredNumber: ScalarTag = {
  identify: () => false,
  default: true,
  tag: 'tag:yaml.org,2002:float',
  test: /^[-+]?[0-9]+(?:_[0-9]+)+(?:\.[0-9]+)?$/,
  resolve: (text) => Number(text.replaceAll('_', '')),
};

/** Built once: made anew for each document it would cost a third of the parsing. */
const SCHEMA = new Schema({ schema: 'core', merge: false, customTags: (tags) => [underscoredNumber, ...tags] });
/** `uniqueKeys`: the library compares every key with every other; ours is `duplicateKey` below, once over, and says which key. */
const OPTIONS = { strict: true, uniqueKeys: false, schema: SCHEMA, logLevel: 'silent' } as const;

/** As a document of a tenancy. */
export function parseOne(text: string): ParsedDocument {
  const read = readText(text);
  if ('isGood' in read) return read;
  const { value, parsed, place } = read;
  const problems = problemsIn(value, VALIDATORS);
  if (problems.some((each) => each.severity === 'error'))
    return broken(parsed, problems.slice(0, PROBLEMS_MAX).map(place), KINDS);
  const { kind, metadata } = value as { kind: Kind; metadata: { name: string } };
  const { name } = metadata;
  const json = JSON.stringify(value);
  return { isGood: true, kind, name, key: keyOf(kind, name), json, warnings: problems.map(place) };
}

/** A text that is sound YAML within the bounds. */
export interface ReadText {
  readonly value: unknown;
  readonly parsed: YamlDocument.Parsed;
  readonly place: (problem: Problem) => PlacedProblem;
}

export function readText(text: string): ReadText | BrokenDocument {
  const early = refuseText(text);
  if (early !== undefined) return broken(undefined, [early], []);
  const lines = new LineCounter();
  let parsed: YamlDocument.Parsed | undefined;
  const unsound = (problem: PlacedProblem): BrokenDocument => broken(parsed, [problem], []);
  try {
    parsed = parseDocument(text, { ...OPTIONS, lineCounter: lines });
    const error = parsed.errors[0] ?? parsed.warnings[0];
    if (error !== undefined) return unsound(yamlProblem(error, parsed, lines));
    const twice = duplicateKey(parsed);
    if (twice !== undefined) return unsound(keyProblem(twice, lines));
    const value: unknown = parsed.toJS({ maxAliasCount: 100 });
    const sound = parsed;
    const placeIt = (problem: Problem): PlacedProblem => place(sound, lines, problem);
    const tooMuch = refuseValue(value);
    return tooMuch === undefined ? { value, parsed, place: placeIt } : unsound(placeIt(tooMuch));
  } catch (cause) {
    const message = `cannot be read as YAML: ${String((cause as Error).message).split('\n')[0]}`;
    return unsound({ line: 1, column: 1, path: '', message, remedy: 'simplify the document' });
  }
}

/** `certain`: the kinds of which a name is certain. None when the text was not sound: then nothing stands where it seems to stand. */
function broken(
  parsed: YamlDocument.Parsed | undefined,
  problems: readonly PlacedProblem[],
  certain: readonly Kind[],
): BrokenDocument {
  const kind = textAt(parsed, ['kind']);
  const name = textAt(parsed, ['metadata', 'name']);
  return { isGood: false, kind, name, isNamed: certain.includes(kind as Kind) && isName(name), problems };
}

function textAt(parsed: YamlDocument.Parsed | undefined, path: readonly string[]): string | undefined {
  const value = isMap(parsed?.contents) ? parsed.getIn(path) : undefined;
  return typeof value === 'string' && value.length <= 63 ? value : undefined;
}

/** What can be refused before anything is parsed. */
function refuseText(text: string): PlacedProblem | undefined {
  const at = (message: string, remedy: string, offset = 0): PlacedProblem => {
    const before = text.slice(0, offset);
    return { line: before.split('\n').length, column: offset - before.lastIndexOf('\n'), path: '', message, remedy };
  };
  if (text.length > DOCUMENT_BYTES_MAX) return at(`larger than ${DOCUMENT_BYTES_MAX} bytes`, 'split it into documents');
  const nul = text.indexOf('\0');
  if (nul !== -1) return at('holds a NUL byte', 'save the file as UTF-8 text', nul);
  const { deepAt, parts } = measure(text);
  if (deepAt !== -1) return at(`nested deeper than ${DEPTH_MAX}`, 'flatten it', deepAt);
  return parts > NODES_MAX ? at(`more than ${NODES_MAX} lines and commas`, 'split it into documents') : undefined;
}

/** Counts, before a recursive parser sees it, what can nest (open brackets, indentation, indicators in a row) and what can multiply. */
function measure(text: string): { deepAt: number; parts: number } {
  let open = 0;
  let parts = 0;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code === 91 || code === 123) open++;
    else if ((code === 93 || code === 125) && open > 0) open--;
    else if (code === 10 || code === 44) parts++;
    if (open > DEPTH_MAX) return { deepAt: i, parts };
  }
  return { deepAt: text.search(/^[ \t?:-]{129}/m), parts };
}

/** A key that stands twice in its map: its text, and the offsets of both. */
interface KeyTwice {
  readonly key: string;
  readonly firstAt: number;
  readonly at: number;
}

function duplicateKey(parsed: YamlDocument.Parsed): KeyTwice | undefined {
  let found: KeyTwice | undefined;
  visit(parsed, {
    Map(_, { items }) {
      const seen = new Map<unknown, number>();
      for (const { key } of items) {
        const scalar = isAlias(key) ? key.resolve(parsed) : key;
        // As JavaScript will know them: `1` and `"1"` are one key.
        const value = isScalar(scalar) ? String(scalar.value) : key;
        const firstAt = seen.get(value);
        const at = (key as ParsedNode).range[0];
        if (firstAt !== undefined) {
          found = { key: String(value), firstAt, at };
          return visit.BREAK;
        }
        seen.set(value, at);
      }
      return undefined;
    },
  });
  return found;
}

/** The first is told by its distance: where the document begins in its file is not known here. */
function keyProblem({ key, firstAt, at }: KeyTwice, lines: LineCounter): PlacedProblem {
  const above = lines.linePos(at).line - lines.linePos(firstAt).line;
  const where = above === 0 ? 'on this line' : `${above} line${above === 1 ? '' : 's'} above`;
  const message = `the key ${JSON.stringify(key.slice(0, KEY_CHARS_MAX))} stands twice in its map, first ${where}`;
  return placedAt(lines, at, message, 'remove one of the two');
}

/** What the parsed value must not be: too deep, too many nodes with aliases expanded, a key that means something to JavaScript. */
function refuseValue(root: unknown): Problem | undefined {
  const problem = (path: Problem['path'], isKey: boolean, message: string, remedy: string): Problem => ({
    path,
    isKey,
    message,
    remedy,
  });
  let nodes = 0;
  const walk = (value: unknown, path: readonly (string | number)[]): Problem | undefined => {
    if (++nodes > NODES_MAX)
      return problem([], false, `more than ${NODES_MAX} nodes with its aliases expanded`, 'split it into documents');
    if (path.length > DEPTH_MAX) return problem([], false, `nested deeper than ${DEPTH_MAX}`, 'flatten it');
    if (typeof value !== 'object' || value === null) return undefined;
    for (const key of Object.keys(value)) {
      const at = [...path, Array.isArray(value) ? Number(key) : key];
      const found = POLLUTING.has(key)
        ? problem(at, true, 'this key is not allowed', 'choose another name')
        : walk((value as Record<string, unknown>)[key], at);
      if (found !== undefined) return found;
    }
    return undefined;
  };
  return walk(root, []);
}

const NOT_YAML = 'mend the YAML there';
const KEY_AND_VALUE = 'write each line as key: value, with a blank behind the colon';
const REMEDIES: Readonly<Record<string, string>> = {
  TAB_AS_INDENT: 'indent with spaces',
  BAD_INDENT: 'indent the keys of one object alike',
  MULTILINE_IMPLICIT_KEY: KEY_AND_VALUE,
  MISSING_CHAR: KEY_AND_VALUE,
  BLOCK_AS_IMPLICIT_KEY: 'indent the keys of one object alike, and quote a value that holds a colon and a blank',
  BAD_SCALAR_START: 'quote the value',
};

interface YamlError {
  readonly message: string;
  readonly code: string;
  readonly pos: readonly [number, number];
}

function yamlProblem(error: YamlError, parsed: YamlDocument.Parsed, lines: LineCounter): PlacedProblem {
  const message = (error.message.split('\n')[0] as string).replace(/ at line \d+, column \d+:?$/, '');
  const opened = openedAt(parsed, error.pos[0]);
  // Where it ends, lines below, nothing is wrong.
  if (opened !== undefined) return placedAt(lines, opened, message, 'close what begins here');
  return placedAt(lines, error.pos[0], message, REMEDIES[error.code] ?? NOT_YAML);
}

/** Where the innermost bracket or quote opens that was still open when `offset` ended it. */
function openedAt(parsed: YamlDocument.Parsed, offset: number): number | undefined {
  let found: number | undefined;
  visit(parsed, {
    Value(_, node) {
      const [from, to] = (node as ParsedNode).range;
      const isBracket = isCollection(node) && node.flow === true;
      if (to === offset && (isBracket || (isScalar(node) && node.type?.startsWith('QUOTE_') === true))) found = from;
    },
  });
  return found;
}

function placedAt(lines: LineCounter, offset: number, message: string, remedy: string | undefined): PlacedProblem {
  const { line, col } = lines.linePos(offset);
  return { line: Math.max(line, 1), column: Math.max(col, 1), path: '', message, remedy };
}

/** The same for a problem that only other documents showed, in a text that was good. */
export function placeProblem(text: string, problem: Problem): PlacedProblem {
  const lines = new LineCounter();
  return place(parseDocument(text, { ...OPTIONS, lineCounter: lines }), lines, problem);
}

/** Where a problem stands: the node its path names, or the nearest above it. */
function place(parsed: YamlDocument.Parsed, lines: LineCounter, problem: Problem): PlacedProblem {
  let offset = parsed.contents?.range?.[0] ?? 0;
  let node: YamlNode | null = parsed.contents as ParsedNode | null;
  for (const [depth, step] of problem.path.entries()) {
    const isLast = depth === problem.path.length - 1;
    if (isMap(node)) {
      const pair = node.items.find((each) => isScalar(each.key) && String(each.key.value) === String(step));
      const key = (pair?.key as YamlNode | undefined)?.range?.[0];
      node = (pair?.value as YamlNode | null | undefined) ?? null;
      offset = (isLast && problem.isKey ? key : (node?.range?.[0] ?? key)) ?? offset;
    } else {
      node = ((node as { items?: YamlNode[] } | null)?.items?.[Number(step)] as YamlNode | undefined) ?? null;
      offset = node?.range?.[0] ?? offset;
    }
  }
  const { line, col } = lines.linePos(offset);
  const path = problem.path
    .map((each) => (typeof each === 'number' ? `[${each}]` : `.${each}`))
    .join('')
    .replace(/^\./, '');
  return { line, column: col, path, message: problem.message, remedy: problem.remedy };
}
