/** `reeve config validate|diff|schema|explain`. */
import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { nearest, ReeveError } from '../../core/index.ts';
import {
  type BootResult,
  bootSidecar,
  diffSnapshots,
  type Finding,
  formatFinding,
  inspectTenancy,
  type SidecarConfig,
  type Snapshot,
  unknownUpstreams,
} from '../../tenants/index.ts';
import { refusedApiKeys } from '../api-keys.ts';
import { EXIT } from '../exit.ts';
import { type Form, paint, printJson } from '../output.ts';
import { packageRoot } from '../root.ts';

const SCHEMAS = join(packageRoot(), 'config/schema');
const KINDS = ['Sidecar', 'Plan', 'Tenant', 'IdentityProvider', 'Route'];

interface Printing {
  readonly output: Form;
}

export async function validate(paths: string[], { output }: Printing): Promise<void> {
  const findings: Finding[] = [];
  const counts = { files: 0, tenants: 0 };
  const boots = new Map<string, BootResult>();
  for (const path of paths) if (!isDirectory(path)) boots.set(path, await bootSidecar(path, [], process.cwd()));
  // Without a boot file nobody knows which upstreams there are, and whether API keys can be verified.
  const [file, config] = [...boots]
    .map(([path, boot]) => [path, boot.config] as const)
    .find(([, each]) => each !== undefined) ?? ['', undefined];
  for (const path of paths) {
    const boot = boots.get(path);
    if (boot === undefined) {
      const inspection = await inspect(path, config?.upstreams);
      counts.files += inspection.files;
      counts.tenants += inspection.snapshot.tenants.size;
      findings.push(...inspection.findings);
      const refused = config && refusedApiKeys(config, inspection.snapshot, file);
      if (refused !== undefined) findings.push(refused);
    } else {
      counts.files++;
      findings.push(...boot.findings);
    }
  }
  const errors = findings.filter((each) => each.severity === 'error').length;
  if (output === 'json')
    printJson({
      valid: errors === 0,
      ...counts,
      findings: findings.map((each) => ({ ...each, text: formatFinding(each) })),
    });
  else {
    const warnings = findings.length - errors;
    for (const finding of findings) process.stdout.write(`${formatFinding(finding)}\n`);
    const { files, tenants } = counts;
    const summary = [
      count(files, 'file'),
      count(tenants, 'tenant'),
      count(errors, 'error'),
      count(warnings, 'warning'),
    ].join(', ');
    process.stdout.write(`${paint(errors > 0 ? 'red' : 'green', summary)}\n`);
  }
  if (errors > 0) process.exitCode = EXIT.findings;
}

export function count(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? '' : 's'}`;
}

/** The directory with findings that name the place as the caller would: from where the command runs. */
async function inspect(
  dir: string,
  upstreams?: SidecarConfig['upstreams'],
): Promise<{ snapshot: Snapshot; findings: Finding[]; files: number }> {
  const { snapshot, findings, files } = await inspectTenancy(dir);
  const unknown = upstreams === undefined ? [] : await unknownUpstreams(dir, snapshot, await namesOf(upstreams));
  const placed = [...findings, ...unknown].map((each) => ({
    ...each,
    file: each.file === '' ? dir : join(dir, each.file),
  }));
  return { snapshot, findings: placed, files };
}

/** The data path is loaded only where it is asked: without it a command starts in half the time. */
export async function namesOf(upstreams: SidecarConfig['upstreams']): Promise<Set<string>> {
  const { APPLICATION } = await import('../../proxy/index.ts');
  return new Set([APPLICATION, ...upstreams.keys()]);
}

function isDirectory(path: string): boolean {
  const facts = statSync(path, { throwIfNoEntry: false });
  if (facts === undefined)
    throw new ReeveError('usage', 'there is no such file or directory', {
      place: path,
      remedy: 'name a tenancy directory or a boot file',
    });
  return facts.isDirectory();
}

export function requireDirectory(path: string): void {
  if (!isDirectory(path))
    throw new ReeveError('usage', 'is no directory', { place: path, remedy: 'name the directory of the documents' });
}

export async function diff(before: string, after: string, { output }: Printing): Promise<void> {
  for (const dir of [before, after]) requireDirectory(dir);
  const [a, b] = [await inspect(before), await inspect(after)];
  // What is broken is in neither snapshot: a difference in it would go unseen without a word.
  const unread = [...a.findings, ...b.findings].filter((each) => each.severity === 'error');
  for (const finding of unread) process.stderr.write(`reeve: not compared: ${formatFinding(finding)}\n`);
  const differences = diffSnapshots(a.snapshot, b.snapshot);
  if (output === 'json') printJson({ differences });
  else {
    const sign = { added: paint('green', '+'), removed: paint('red', '-'), changed: paint('yellow', '~') };
    for (const { kind, name, change, changes } of differences) {
      const object = `${sign[change]} ${kind} ${name}`;
      if (change !== 'changed') process.stdout.write(`${object}\n`);
      for (const { key, before = 'nothing', after = 'nothing' } of changes)
        process.stdout.write(`${object} ${key}: ${before} → ${after}\n`);
    }
    process.stdout.write(`${count(differences.length, 'difference')}\n`);
  }
  if (differences.length + unread.length > 0) process.exitCode = EXIT.findings;
}

export function schema(kind: string): void {
  printJson(readSchema(kind));
}

interface Schema {
  readonly type?: string;
  readonly title?: string;
  readonly description?: string;
  readonly default?: unknown;
  readonly const?: unknown;
  readonly examples?: readonly unknown[];
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly items?: Schema;
  readonly anyOf?: readonly Schema[];
}

function readSchema(kind: string): Schema {
  const known = [...KINDS, 'tenancy'];
  const name = known.find((each) => each.toLowerCase() === kind.toLowerCase());
  if (name !== undefined)
    return JSON.parse(readFileSync(join(SCHEMAS, `${name.toLowerCase()}.json`), 'utf8')) as Schema;
  throw new ReeveError('usage', `there is no kind ${JSON.stringify(kind)}`, { remedy: remedyFor(kind, known) });
}

function remedyFor(word: string, known: readonly string[]): string {
  const near = nearest(word, known);
  if (near !== undefined) return `did you mean ${near}?`;
  return known.length === 0 ? 'nothing is below it' : `known: ${known.join(', ')}`;
}

/** A key by its path: `Plan.spec.rate.requests.limit`; what lies below an object is listed. */
export function explain(key: string, { output }: Printing): void {
  const at = find(key);
  const members = Object.entries(membersOf(at));
  const words = wordsOf(at);
  const value = at.title ?? at.type ?? 'one of several forms';
  if (output === 'json') {
    const keys = Object.fromEntries(members.map(([name, { description }]) => [name, description]));
    printJson({ key, description: at.description, value, words, examples: at.examples, default: at.default, keys });
    return;
  }
  const lines = [key, `  ${at.description ?? ''}`.trimEnd(), `  value    ${value}`];
  if (words.length > 0) lines.push(`  words    ${words.join(', ')}`);
  if (at.examples !== undefined) lines.push(`  such as  ${at.examples.map(String).join(', ')}`);
  if (at.default !== undefined) lines.push(`  default  ${JSON.stringify(at.default)}`);
  for (const [name, { description }] of members) lines.push(`  .${name.padEnd(20)} ${description ?? ''}`.trimEnd());
  process.stdout.write(`${lines.filter((line) => line !== '').join('\n')}\n`);
}

/** With its kind, or as findings and the boot file name it, with or without `spec`: then it is looked for in every kind. */
function find(key: string): Schema {
  const [first, ...path] = key.split('.') as [string, ...string[]];
  if ([...KINDS, 'tenancy'].some((kind) => kind.toLowerCase() === first.toLowerCase())) return walk(first, path);
  const full = first === 'spec' || first === 'metadata' ? [first, ...path] : ['spec', first, ...path];
  const kinds = KINDS.filter((kind) => has(kind, full));
  if (kinds.length === 1) return walk(kinds[0] as string, full);
  // A kind misspelt gets its own answer.
  if (kinds.length === 0 && full[0] !== first) return walk(first, path);
  const choices = kinds.map((kind) => `${kind}.${full.join('.')}`);
  throw new ReeveError(
    'usage',
    `${kinds.length === 0 ? 'no kind has' : 'more than one kind has'} ${JSON.stringify(key)}`,
    {
      remedy: kinds.length === 0 ? 'begin with the kind, such as Plan.spec' : `name one: ${choices.join(', ')}`,
    },
  );
}

function has(kind: string, path: readonly string[]): boolean {
  let at: Schema | undefined = readSchema(kind);
  for (const step of path) at = at && Object.entries(membersOf(at)).find(([name]) => name === step)?.[1];
  return at !== undefined;
}

function walk(kind: string, path: readonly string[]): Schema {
  let at = readSchema(kind);
  let walked = kind;
  for (const step of path) {
    const members = membersOf(at);
    if (!Object.hasOwn(members, step))
      throw new ReeveError('usage', `${walked} has no key ${JSON.stringify(step)}`, {
        remedy: remedyFor(step, Object.keys(members)),
      });
    at = members[step] as Schema;
    walked += `.${step}`;
  }
  return at;
}

function membersOf(schema: Schema): Readonly<Record<string, Schema>> {
  return Object.assign({}, ...formsOf(schema).map((each) => each.properties ?? {})) as Record<string, Schema>;
}

/** What may stand there as a word of its own, such as the rungs without a value. */
function wordsOf(schema: Schema): unknown[] {
  return formsOf(schema).flatMap((each) => each.const ?? []);
}

/** The schema, and what its list holds or it may be instead. */
function formsOf(schema: Schema): Schema[] {
  return [
    schema,
    ...(schema.items === undefined ? [] : [schema.items, ...(schema.items.anyOf ?? [])]),
    ...(schema.anyOf ?? []),
  ];
}
