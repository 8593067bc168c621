/** `reeve config validate|diff|schema|explain`. */
import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { nearest, ReeveError } from '../../core/index.ts';
import { bootSidecar, diffSnapshots, type Finding, formatFinding, inspectTenancy } from '../../tenants/index.ts';
import { EXIT } from '../exit.ts';

const SCHEMAS = join(import.meta.dirname, '../../../config/schema');
const KINDS = ['Sidecar', 'Plan', 'Tenant', 'IdentityProvider', 'Route'];

interface Form {
  readonly output: 'text' | 'json';
}

export async function validate(paths: string[], { output }: Form): Promise<void> {
  const findings: Finding[] = [];
  const counts = { files: 0, tenants: 0 };
  for (const path of paths) {
    if (isDirectory(path)) {
      const inspection = await inspectTenancy(path);
      counts.files += inspection.files;
      counts.tenants += inspection.snapshot.tenants.size;
      findings.push(
        ...inspection.findings.map((finding) => ({
          ...finding,
          file: finding.file === path || finding.file === '' ? path : join(path, finding.file),
        })),
      );
    } else {
      counts.files++;
      findings.push(...bootSidecar(path, [], process.cwd()).findings);
    }
  }
  const errors = findings.filter((each) => each.severity === 'error').length;
  if (output === 'json')
    process.stdout.write(
      `${JSON.stringify({ valid: errors === 0, ...counts, findings: findings.map((each) => ({ ...each, text: formatFinding(each) })) }, null, 2)}\n`,
    );
  else {
    for (const finding of findings) process.stdout.write(`${formatFinding(finding)}\n`);
    process.stdout.write(
      `${counts.files} files, ${counts.tenants} tenants, ${errors} errors, ${findings.length - errors} warnings\n`,
    );
  }
  if (errors > 0) process.exitCode = EXIT.findings;
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

export async function diff(before: string, after: string, { output }: Form): Promise<void> {
  const [a, b] = [await inspectTenancy(before), await inspectTenancy(after)];
  const differences = diffSnapshots(a.snapshot, b.snapshot);
  if (output === 'json') process.stdout.write(`${JSON.stringify({ differences }, null, 2)}\n`);
  else {
    const sign = { added: '+', removed: '-', changed: '~' };
    for (const { kind, name, change, keys } of differences)
      process.stdout.write(`${sign[change]} ${kind} ${name}${keys.length > 0 ? ` (${keys.join(', ')})` : ''}\n`);
    process.stdout.write(`${differences.length} differences\n`);
  }
  if (differences.length > 0) process.exitCode = EXIT.findings;
}

export function schema(kind: string): void {
  process.stdout.write(JSON.stringify(readSchema(kind), null, 2).concat('\n'));
}

interface Schema {
  readonly type?: string;
  readonly title?: string;
  readonly description?: string;
  readonly default?: unknown;
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
  const near = nearest(kind, known);
  throw new ReeveError('usage', `there is no kind ${JSON.stringify(kind)}`, {
    remedy: near === undefined ? `known: ${known.join(', ')}` : `did you mean ${near}?`,
  });
}

/** A key by its path: `Plan.spec.rate.requests.limit`; what lies below an object is listed. */
export function explain(key: string): void {
  const [kind, ...path] = key.split('.');
  let at = readSchema(kind as string);
  const walked = [kind as string];
  for (const step of path) {
    const members = membersOf(at);
    const next = members[step];
    if (next === undefined) {
      const near = nearest(step, Object.keys(members));
      throw new ReeveError('usage', `${walked.join('.')} has no key ${JSON.stringify(step)}`, {
        remedy: near === undefined ? `it has: ${Object.keys(members).join(', ') || 'none'}` : `did you mean ${near}?`,
      });
    }
    at = next;
    walked.push(step);
  }
  const lines = [
    walked.join('.'),
    `  ${at.description ?? ''}`,
    `  value    ${at.title ?? at.type ?? 'one of several forms'}`,
  ];
  if (at.examples !== undefined) lines.push(`  such as  ${at.examples.map(String).join(', ')}`);
  if (at.default !== undefined) lines.push(`  default  ${JSON.stringify(at.default)}`);
  for (const [name, member] of Object.entries(membersOf(at)))
    lines.push(`  .${name.padEnd(20)} ${member.description ?? ''}`);
  process.stdout.write(`${lines.join('\n')}\n`);
}

function membersOf(schema: Schema): Readonly<Record<string, Schema>> {
  const below = [
    schema,
    ...(schema.items === undefined ? [] : [schema.items, ...(schema.items.anyOf ?? [])]),
    ...(schema.anyOf ?? []),
  ];
  return Object.assign({}, ...below.map((each) => each.properties ?? {})) as Record<string, Schema>;
}
