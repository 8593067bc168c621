/**
 * One document's text to a validated document, or to problems with line and column. Hostile input is the normal case: every
 * bound is checked before the work it bounds. Runs on the loop for a few small documents, in a worker for all others.
 */
import {
  isMap,
  isScalar,
  LineCounter,
  type ParsedNode,
  parseDocument,
  type ScalarTag,
  Schema,
  type Document as YamlDocument,
  type Node as YamlNode,
} from 'yaml';
import { nearest } from '../core/index.ts';
import { type Problem, problemsOf } from './findings.ts';
import {
  IdentityProvider,
  Plan,
  Route,
  type SchemaError,
  Sidecar,
  Tenant,
  type Validator,
} from './generated/validators.js';
import type { Kind } from './schema.ts';

/** A problem at its place, lines counted from the beginning of the document. */
export interface PlacedProblem {
  readonly line: number;
  readonly column: number;
  readonly path: string;
  readonly message: string;
  readonly remedy: string | undefined;
}

export type ParsedDocument =
  | {
      readonly isGood: true;
      readonly kind: Kind;
      readonly name: string /** The document as JSON: what stays in memory is one text, not ten objects. */;
      readonly json: string;
    }
  /** Kind and name as far as they could be made out: by them the object's last good version is kept. */
  | {
      readonly isGood: false;
      readonly kind: string | undefined;
      readonly name: string | undefined;
      readonly problems: readonly PlacedProblem[];
    };

export const DOCUMENT_BYTES_MAX = 2 ** 20;
const DEPTH_MAX = 32;
/** Nodes of a document with its aliases expanded. */
const NODES_MAX = 10_000;
const PROBLEMS_MAX = 20;
const VALIDATORS: Readonly<Record<Kind, Validator>> = { Sidecar, Plan, Tenant, IdentityProvider, Route };
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

export function parseOne(text: string, kinds: readonly Kind[]): ParsedDocument {
  const early = refuseText(text);
  if (early !== undefined) return bad(text, [early]);
  const lines = new LineCounter();
  let parsed: YamlDocument.Parsed;
  let document: unknown;
  try {
    parsed = parseDocument(text, {
      lineCounter: lines,
      strict: true,
      uniqueKeys: true,
      schema: SCHEMA,
      logLevel: 'silent',
    });
    const error = parsed.errors[0] ?? parsed.warnings[0];
    if (error !== undefined) return bad(text, [yamlProblem(error, lines)]);
    document = parsed.toJS({ maxAliasCount: 100 });
  } catch (cause) {
    return bad(text, [
      {
        line: 1,
        column: 1,
        path: '',
        message: `cannot be read as YAML: ${firstLine(cause)}`,
        remedy: 'simplify the document',
      },
    ]);
  }
  const tooMuch = refuseValue(document);
  if (tooMuch !== undefined) return bad(text, [place(parsed, lines, tooMuch)]);
  return validate(text, document, kinds, (problem) => place(parsed, lines, problem));
}

function validate(
  text: string,
  document: unknown,
  kinds: readonly Kind[],
  toPlace: (problem: Problem) => PlacedProblem,
): ParsedDocument {
  const kind = (document as { kind?: unknown } | null)?.kind;
  if (typeof kind !== 'string' || !kinds.includes(kind as Kind))
    return bad(text, [toPlace(kindProblem(document, kind, kinds))]);
  const validator = VALIDATORS[kind as Kind];
  if (!validator(document))
    return bad(
      text,
      problemsOf(validator.errors as readonly SchemaError[])
        .slice(0, PROBLEMS_MAX)
        .map(toPlace),
    );
  return {
    isGood: true,
    kind: kind as Kind,
    name: (document as { metadata: { name: string } }).metadata.name,
    json: JSON.stringify(document),
  };
}

function kindProblem(document: unknown, kind: unknown, kinds: readonly Kind[]): Problem {
  const known = kinds.join(', ');
  if (typeof document !== 'object' || document === null || Array.isArray(document)) {
    return {
      path: [],
      isKey: false,
      message: 'expected a document of keys and values',
      remedy: 'begin with apiVersion: reeve.dev/v1 and kind',
    };
  }
  if (kind === undefined)
    return { path: [], isKey: true, message: 'kind is missing', remedy: `add kind, one of ${known}` };
  const near = nearest(String(kind), kinds);
  return {
    path: ['kind'],
    isKey: false,
    message: `expected a kind, got ${JSON.stringify(kind)?.slice(0, 80)}`,
    remedy: near === undefined ? `known here: ${known}` : `did you mean ${near}?`,
  };
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
  const deep = tooDeepAt(text);
  return deep === undefined ? undefined : at(`nested deeper than ${DEPTH_MAX}`, 'flatten it', deep);
}

/** Counts what can nest before a recursive parser sees it: open brackets, indentation, and indicators in a row. */
function tooDeepAt(text: string): number | undefined {
  let open = 0;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code === 91 || code === 123) open++;
    else if ((code === 93 || code === 125) && open > 0) open--;
    if (open > DEPTH_MAX) return i;
  }
  const indented = /^[ \t?:-]{129}/m.exec(text);
  return indented?.index;
}

/** What the parsed value must not be: too deep, too many nodes with aliases expanded, a key that means something to JavaScript. */
function refuseValue(root: unknown): Problem | undefined {
  let nodes = 0;
  let found: Problem | undefined;
  const walk = (value: unknown, path: (string | number)[]): void => {
    if (found !== undefined) return;
    if (++nodes > NODES_MAX)
      found = {
        path: [],
        isKey: false,
        message: `more than ${NODES_MAX} nodes with its aliases expanded`,
        remedy: 'split it into documents',
      };
    else if (path.length > DEPTH_MAX)
      found = { path: [], isKey: false, message: `nested deeper than ${DEPTH_MAX}`, remedy: 'flatten it' };
    else if (typeof value === 'object' && value !== null) {
      for (const key of Object.keys(value)) {
        if (POLLUTING.has(key))
          found = {
            path: [...path, key],
            isKey: true,
            message: 'this key is not allowed',
            remedy: 'choose another name',
          };
        walk((value as Record<string, unknown>)[key], [...path, Array.isArray(value) ? Number(key) : key]);
        if (found !== undefined) return;
      }
    }
  };
  walk(root, []);
  return found;
}

function yamlProblem(
  error: { message: string; code: string; pos: [number, number] },
  lines: LineCounter,
): PlacedProblem {
  const { line, col } = lines.linePos(error.pos[0]);
  const message = firstLine(error).replace(/ at line \d+, column \d+:?$/, '');
  const remedy =
    error.code === 'DUPLICATE_KEY'
      ? 'remove one of them'
      : error.code === 'TAB_AS_INDENT'
        ? 'indent with spaces'
        : undefined;
  return { line: Math.max(line, 1), column: Math.max(col, 1), path: '', message, remedy };
}

function firstLine(cause: unknown): string {
  return String((cause as Error).message ?? cause).split('\n')[0] as string;
}

/** The same for a problem that only the meaning showed, in a text that was good. */
export function placeProblem(text: string, problem: Problem): PlacedProblem {
  const lines = new LineCounter();
  return place(parseDocument(text, { lineCounter: lines, logLevel: 'silent' }), lines, problem);
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

function bad(text: string, problems: readonly PlacedProblem[]): ParsedDocument {
  const head = text.length > 65_536 ? text.slice(0, 65_536) : text;
  const kind = /(?:^|[{,])\s{0,8}["']?kind["']?\s*:\s*["']?([A-Za-z]{1,40})/m.exec(head)?.[1];
  const name =
    /(?:^|[{,])\s{0,8}["']?metadata["']?\s*:\s*(?:\{[^}\n]{0,200}?|(?:#[^\n]*)?\n(?:[ \t]+\S[^\n]*\n){0,20}?[ \t]+)["']?name["']?\s*:\s*["']?([a-z0-9][-a-z0-9]{0,62})/m.exec(
      head,
    )?.[1];
  return { isGood: false, kind, name, problems };
}
