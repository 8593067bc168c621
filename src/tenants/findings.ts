/** Problems in the configuration as one line for a person, and what a schema's errors say in plain words. */
import { nearest } from '../core/index.ts';
import { amountRemedy } from './amount-meant.ts';
import type { SchemaError } from './generated/validators.js';
import type { Finding } from './model.ts';

/** `tenants/eu.yaml:214:9 Tenant "acme" spec.rate: message (remedy)`. */
export function formatFinding(f: Finding): string {
  const place = f.line === 0 ? f.file : `${f.file}:${f.line}:${f.column}`;
  const object = f.kind === undefined ? '' : ` ${f.kind}${f.name === undefined ? '' : ` "${f.name}"`}`;
  const path = f.path === '' ? '' : ` ${f.path}`;
  const remedy = f.remedy === undefined ? '' : ` (${f.remedy})`;
  const severity = f.severity === 'warning' ? ' warning:' : '';
  // A place with a line ends in a colon of its own kind.
  const colon = object === '' && path === '' && (f.line > 0 || severity !== '') ? '' : ':';
  return `${place}${severity}${object}${path}${colon} ${f.message}${remedy}`;
}

/** For a person: of those that want the same, the first speaks for all. Programs get each. */
export function foldFindings(findings: readonly Finding[]): readonly { finding: Finding; text: string }[] {
  const counts = new Map<string, number>();
  for (const { wants } of findings) if (wants !== undefined) counts.set(wants, (counts.get(wants) ?? 0) + 1);
  const said = new Set<string>();
  return findings.flatMap((finding) => {
    const { wants } = finding;
    if (wants === undefined) return { finding, text: formatFinding(finding) };
    if (said.has(wants)) return [];
    said.add(wants);
    const more = (counts.get(wants) as number) - 1;
    return { finding, text: `${formatFinding(finding)}${more === 0 ? '' : `\n  … and ${more} more want it`}` };
  });
}

/** A problem inside one document: where it is by keys, and what it is. */
export interface Problem {
  readonly path: readonly (string | number)[];
  /** The key itself is wrong, not its value. */
  readonly isKey: boolean;
  readonly message: string;
  readonly remedy: string | undefined;
}

/** The errors of a validator as problems; of the branches of a union only the one that was meant speaks. */
export function problemsOf(errors: readonly SchemaError[]): Problem[] {
  const unions = errors.filter((error) => error.keyword === 'anyOf');
  const inUnion = (error: SchemaError) =>
    unions.some(
      (union) =>
        error !== union &&
        (error.instancePath === union.instancePath || error.instancePath.startsWith(`${union.instancePath}/`)),
    );
  const deeper = (union: SchemaError) =>
    errors.filter((error) => error.keyword !== 'anyOf' && error.instancePath.startsWith(`${union.instancePath}/`));
  const problems = errors
    .filter((error) => !inUnion(error))
    .flatMap((error) =>
      error.keyword === 'anyOf' && deeper(error).length > 0 ? deeper(error).map(problemOf) : [problemOf(error)],
    );
  const seen = new Set<string>();
  return problems.filter((problem) => {
    const key = `${problem.path.join('.')} ${problem.message}`;
    return !seen.has(key) && seen.add(key);
  });
}

function problemOf(error: SchemaError): Problem {
  const path = error.instancePath
    .split('/')
    .slice(1)
    .map((each) => each.replaceAll('~1', '/').replaceAll('~0', '~'))
    .map((each) => (/^\d+$/.test(each) ? Number(each) : each));
  const { params, keyword } = error;
  if (keyword === 'additionalProperties') {
    const key = String(params['additionalProperty']);
    const known = Object.keys((error.parentSchema?.['properties'] as object | undefined) ?? {});
    const near = nearest(key, known);
    return {
      path: [...path, key],
      isKey: true,
      message: 'unknown key',
      remedy: near === undefined ? `known here: ${known.join(', ')}` : `did you mean ${near}?`,
    };
  }
  if (keyword === 'required') {
    return {
      path,
      isKey: true,
      message: `${String(params['missingProperty'])} is missing`,
      remedy: `add ${String(params['missingProperty'])}`,
    };
  }
  return { path, isKey: false, ...describe(error) };
}

function describe(error: SchemaError): { message: string; remedy: string | undefined } {
  const schema = error.parentSchema ?? {};
  // Whoever puts a key where its hash belongs must not find it in the log.
  const isSecret = schema['title'] === 'key hash';
  const got = isSecret ? 'something else' : (JSON.stringify(error.data)?.slice(0, 80) ?? 'nothing');
  const title = (schema['title'] as string | undefined) ?? expectation(error);
  const example = (schema['examples'] as unknown[] | undefined)?.[0];
  const choices = choicesOf(schema);
  if (choices.length > 1)
    return { message: `expected one of ${choices.join(', ')}, got ${got}`, remedy: didYouMean(error.data, choices) };
  const message = `expected ${article(title)}${example === undefined ? '' : ` such as ${String(example)}`}, got ${got}`;
  return { message, remedy: remedyFor(error, schema) };
}

function remedyFor({ data, keyword }: SchemaError, schema: Readonly<Record<string, unknown>>): string | undefined {
  const { title, minimum, maximum, examples } = schema;
  if (title === 'upstream' && String(data).startsWith('https:'))
    return 'TLS to an upstream is not supported yet: use http://';
  if (title === 'degrade rung')
    return didYouMean(wordOf(data), rungs(schema)) ?? `known: ${(examples as string[]).join(', ')}`;
  const amount = amountRemedy(data, schema);
  if (amount !== undefined) return amount;
  if (keyword === 'maximum' && minimum !== undefined) return `choose from ${minimum} to ${maximum}`;
  const suggestion = suggest(data, schema);
  return suggestion === undefined ? undefined : `did you mean ${suggestion}?`;
}

/** A rung is a word, or an object with one key. */
function wordOf(data: unknown): unknown {
  return typeof data === 'object' && data !== null ? Object.keys(data)[0] : data;
}

function rungs(schema: Readonly<Record<string, unknown>>): string[] {
  const branches = schema['anyOf'] as readonly ({ const: string } | { properties: object })[];
  return branches.flatMap((each) => ('const' in each ? each.const : Object.keys(each.properties)));
}

function expectation({ keyword, params, message }: SchemaError): string {
  if (keyword === 'const') return JSON.stringify(params['allowedValue']);
  if (keyword === 'type') return String(params['type']);
  return (message ?? keyword).replace(/^must (be|NOT) /, (_, word: string) => (word === 'be' ? 'value ' : 'no '));
}

function article(title: string): string {
  if (title.startsWith('"') || /^(value|no|IANA) /.test(title))
    return title === 'IANA time zone' ? `an ${title}` : title;
  return `${/^[aeiou]/.test(title) ? 'an' : 'a'} ${title}`;
}

/** What a value without its unit, or a word misspelt, most likely meant. */
function suggest(data: unknown, schema: Readonly<Record<string, unknown>>): string | undefined {
  const text = String(data);
  const bare = /^\d[\d_]*(\.\d+)?$/.test(text);
  if (bare && schema['title'] === 'byte rate') return `${text}B/s`;
  if (bare && schema['title'] === 'size') return `${text}B`;
  if (bare && schema['title'] === 'duration') return `${text}ms or ${text}s`;
  if (bare && schema['title'] === 'percentage') return `${text}%`;
  if (schema['const'] !== undefined) return nearest(text, [String(schema['const'])]);
  return typeof data === 'string' ? inObject(text, schema) : undefined;
}

const SUGGESTED_MAX = 80;

/** A text where an object belongs whose first key takes it: `10/min` for `{ limit: 10/min }`. */
function inObject(text: string, schema: Readonly<Record<string, unknown>>): string | undefined {
  if (text.length > SUGGESTED_MAX || !/^[!-~]+$/.test(text)) return undefined;
  const [first] = Object.entries((schema['properties'] ?? {}) as Record<string, Readonly<Record<string, unknown>>>);
  if (first === undefined) return undefined;
  const [key, of] = first;
  const isIts = typeof of['pattern'] === 'string' && new RegExp(of['pattern']).test(text);
  const value = isIts ? text : inObject(text, of);
  return value === undefined ? undefined : `{ ${key}: ${value} }`;
}

/** The words of a union that has nothing but words. */
function choicesOf(schema: Readonly<Record<string, unknown>>): string[] {
  const branches = (schema['anyOf'] ?? []) as { const?: unknown }[];
  return branches.every((each) => each.const !== undefined) ? branches.map((each) => String(each.const)) : [];
}

function didYouMean(data: unknown, choices: readonly string[]): string | undefined {
  const near = typeof data === 'string' ? nearest(data, choices) : undefined;
  return near === undefined ? undefined : `did you mean ${near}?`;
}
