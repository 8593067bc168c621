/** `reeve config schema|explain`: what documents may say, as their schemas have it, and a collector's settings. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { nearest, ReeveError } from '../../core/index.ts';
import { sidecarSettings } from '../../tenants/index.ts';
import { collectorSettings } from '../collector-settings.ts';
import { type Form, printJson } from '../output.ts';
import { packageRoot } from '../root.ts';

const SCHEMAS = join(packageRoot(), 'config/schema');
const KINDS = ['Sidecar', 'Plan', 'Tenant', 'IdentityProvider', 'Route'];
/** Its file has no kind and no schema: it is explained, no more. */
const COLLECTOR = 'Collector';
/** For whatever name a map has there. */
const NAME = 'NAME';

interface Schema {
  readonly type?: string;
  readonly title?: string;
  readonly description?: string | undefined;
  readonly default?: unknown;
  readonly const?: unknown;
  readonly examples?: readonly unknown[];
  readonly properties?: Readonly<Record<string, Schema>>;
  /** Of a map: one, for each name. */
  readonly patternProperties?: Readonly<Record<string, Schema>>;
  readonly items?: Schema;
  readonly anyOf?: readonly Schema[];
}

export function schema(kind: string): void {
  printJson(readSchema(kind, [...KINDS, 'tenancy']));
}

function readSchema(kind: string, known: readonly string[]): Schema {
  const name = nameIn(known, kind);
  if (name === COLLECTOR) return collectorSchema();
  if (name !== undefined)
    return JSON.parse(readFileSync(join(SCHEMAS, `${name.toLowerCase()}.json`), 'utf8')) as Schema;
  throw new ReeveError('usage', `there is no kind ${JSON.stringify(kind)}`, { remedy: remedyFor(kind, known) });
}

function nameIn(known: readonly string[], kind: string): string | undefined {
  return known.find((each) => each.toLowerCase() === kind.toLowerCase());
}

function collectorSchema(): Schema {
  const properties: Record<string, Schema> = {};
  for (const { path, kind, description, preset } of collectorSettings) {
    const value = kind === 'port' ? Number(preset) : preset;
    const setting = { title: kind, description, ...(preset === undefined ? {} : { default: value }) };
    const [group, key] = path.split('.') as [string, string?];
    if (key === undefined) properties[group] = setting;
    else properties[group] = groupOf({ ...properties[group]?.properties, [key]: setting });
  }
  return { type: 'object', description: 'The settings of `reeve collector`, in the file of --config.', properties };
}

function groupOf(properties: Readonly<Record<string, Schema>>): Schema {
  return { type: 'object', description: Object.keys(properties).join(', '), properties };
}

function remedyFor(word: string, known: readonly string[]): string {
  const near = nearest(word, known);
  if (near !== undefined) return `did you mean ${near}?`;
  return known.length === 0 ? 'nothing is below it' : `known: ${known.join(', ')}`;
}

/** A key by its path: `Plan.spec.rate.requests.limit`; what lies below an object is listed. */
export function explain(asked: string, { output }: { readonly output: Form }): void {
  const key = withSpec(asked);
  const [kind, path] = find(key);
  const at = walk(kind, path);
  const members = Object.entries(membersOf(at));
  const words = wordsOf(at);
  const value = at.title ?? at.type ?? 'one of several forms';
  const given = givenBy(kind, path);
  if (output === 'json') {
    const keys = Object.fromEntries(members.map(([name, { description }]) => [name, description]));
    const { description, examples } = at;
    printJson({ key, description, value, words, examples, default: at.default, ...given, keys });
    return;
  }
  const lines = [key, `  ${at.description ?? ''}`.trimEnd(), `  value    ${value}`];
  if (words.length > 0) lines.push(`  words    ${words.join(', ')}`);
  if (at.examples !== undefined) lines.push(`  such as  ${at.examples.map(String).join(', ')}`);
  if (at.default !== undefined) lines.push(`  default  ${JSON.stringify(at.default)}`);
  if (given !== undefined) lines.push(`  also     ${given.flag}, ${given.env}`);
  for (const [name, { description }] of members) lines.push(`  .${name.padEnd(20)} ${description ?? ''}`.trimEnd());
  process.stdout.write(`${lines.filter((line) => line !== '').join('\n')}\n`);
}

/** `Plan.degrade` is `Plan.spec.degrade`; so is one misspelt, unless it is `spec` itself or its like that is. */
function withSpec(key: string): string {
  const dot = key.indexOf('.');
  const kind = nameIn(KINDS, key.slice(0, Math.max(dot, 0)));
  const [first] = stepsOf(key.slice(dot + 1)) as [string, ...string[]];
  if (kind === undefined || has(kind, [first])) return key;
  const isLikeOne = nearest(first, Object.keys(membersOf(walk(kind, [])))) !== undefined;
  return isLikeOne && !has(kind, ['spec', first]) ? key : `${kind}.spec${key.slice(dot)}`;
}

/** The flag and the variable of a setting. */
function givenBy(kind: string, path: readonly string[]): { readonly flag: string; readonly env: string } | undefined {
  const isOf = (each: string): boolean => each.toLowerCase() === kind.toLowerCase();
  const settings = isOf('Sidecar') ? sidecarSettings : isOf(COLLECTOR) ? collectorSettings : [];
  const wanted = (isOf('Sidecar') ? path.slice(1) : path).join('.');
  const setting = settings.find((each) => each.path === wanted);
  return setting && { flag: setting.flag, env: setting.env };
}

/** With its kind, or as findings and the boot file name it, with or without `spec`: then it is looked for in every kind. */
function find(key: string): [kind: string, path: readonly string[]] {
  const [first, ...path] = stepsOf(key) as [string, ...string[]];
  if (nameIn([...KINDS, COLLECTOR, 'tenancy'], first) !== undefined) return [first, path];
  const full = first === 'spec' || first === 'metadata' ? [first, ...path] : ['spec', first, ...path];
  const kinds = KINDS.filter((kind) => has(kind, full));
  if (kinds.length === 1) return [kinds[0] as string, full];
  if (kinds.length === 0 && has(COLLECTOR, [first, ...path])) return [COLLECTOR, [first, ...path]];
  // A kind misspelt gets its own answer, and so does the first of the keys.
  if (kinds.length === 0 && full[0] !== first) refuse(first, path);
  const choices = kinds.map((kind) => `${kind}.${full.join('.')}`);
  throw new ReeveError(
    'usage',
    `${kinds.length === 0 ? 'no kind has' : 'more than one kind has'} ${JSON.stringify(key)}`,
    {
      remedy: kinds.length === 0 ? 'begin with the kind, such as Plan.spec' : `name one: ${choices.join(', ')}`,
    },
  );
}

/** Throws for the first step that is wrong. */
function refuse(first: string, path: readonly string[]): never {
  const kind = KINDS.find((each) => has(each, ['spec', first]));
  if (kind !== undefined) walk(kind, ['spec', first, ...path]);
  if (has(COLLECTOR, [first])) walk(COLLECTOR, [first, ...path]);
  const known = [...KINDS, COLLECTOR, 'tenancy'];
  const near = nearest(first, [...known, ...KINDS.flatMap((each) => Object.keys(membersOf(walk(each, ['spec']))))]);
  throw new ReeveError('usage', `there is no kind ${JSON.stringify(first)}`, {
    remedy: near === undefined ? `known: ${known.join(', ')}` : `did you mean ${near}?`,
  });
}

/** As the documentation and findings write them: `apiKeys[].id`, `apiKeys.0.id`. */
function stepsOf(key: string): string[] {
  return key.split('.').flatMap((step) => (/^\d+$/.test(step) ? [] : step.replace(/\[\d*\]$/, '')));
}

function has(kind: string, path: readonly string[]): boolean {
  let at: Schema | undefined = readSchema(kind, [...KINDS, COLLECTOR]);
  for (const step of path) at = at && memberOf(at, step);
  return at !== undefined;
}

function walk(kind: string, path: readonly string[]): Schema {
  let at = readSchema(kind, [...KINDS, COLLECTOR, 'tenancy']);
  let walked = kind;
  for (const step of path) {
    const next = memberOf(at, step);
    if (next === undefined)
      throw new ReeveError('usage', `${walked} has no key ${JSON.stringify(step)}`, {
        remedy: remedyFor(step, Object.keys(membersOf(at))),
      });
    at = next;
    walked += `.${step}`;
  }
  return at;
}

function memberOf(at: Schema, step: string): Schema | undefined {
  const members = membersOf(at);
  return Object.hasOwn(members, step) ? members[step] : members[NAME];
}

function membersOf(at: Schema): Readonly<Record<string, Schema>> {
  return Object.assign({}, ...formsOf(at).map(keysOf)) as Record<string, Schema>;
}

function keysOf({ properties, patternProperties }: Schema): Readonly<Record<string, Schema>> {
  const [each] = Object.values(patternProperties ?? {});
  return { ...properties, ...(each === undefined ? {} : { [NAME]: each }) };
}

/** What may stand there as a word of its own, such as the rungs without a value. */
function wordsOf(at: Schema): unknown[] {
  return formsOf(at).flatMap((each) => each.const ?? []);
}

/** The schema, and what its list holds or it may be instead. */
function formsOf(at: Schema): Schema[] {
  return [at, ...(at.items === undefined ? [] : [at.items, ...(at.items.anyOf ?? [])]), ...(at.anyOf ?? [])];
}
