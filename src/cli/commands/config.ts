/** `reeve config validate|diff`. */
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { ReeveError } from '../../core/index.ts';
import {
  type BootResult,
  bootSidecar,
  type Difference,
  diffSnapshots,
  type Finding,
  foldFindings,
  formatFinding,
  type Inspection,
  inspectTenancy,
  type SidecarConfig,
  unknownUpstreams,
} from '../../tenants/index.ts';
import { refusedApiKeys } from '../api-keys.ts';
import { EXIT } from '../exit.ts';
import { type Form, paint, printJson } from '../output.ts';

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
    for (const { text } of foldFindings(findings)) process.stdout.write(`${text}\n`);
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
async function inspect(dir: string, upstreams?: SidecarConfig['upstreams']): Promise<Inspection> {
  const { snapshot, findings, ...rest } = await inspectTenancy(dir);
  const unknown = upstreams === undefined ? [] : await unknownUpstreams(dir, snapshot, await namesOf(upstreams));
  const placed = [...findings, ...unknown].map((each) => ({
    ...each,
    file: each.file === dir ? dir : join(dir, each.file),
  }));
  return { snapshot, findings: placed, ...rest };
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
  const all = diffSnapshots(a.snapshot, b.snapshot);
  // What the other side does not show may stand in what is broken there: nobody knows whether it was added or removed.
  const isUnread = ({ change, kind, name }: Difference): boolean =>
    (change === 'added' && a.mayHold(kind, name)) || (change === 'removed' && b.mayHold(kind, name));
  const differences = all.filter((each) => !isUnread(each));
  const notCompared = all.filter(isUnread).map(({ kind, name, change }) => ({
    kind,
    name,
    unreadIn: change === 'added' ? before : after,
  }));
  const broken = [
    { dir: before, errors: errorsOf(a.findings) },
    { dir: after, errors: errorsOf(b.findings) },
  ].filter(({ errors }) => errors.length > 0);
  if (output === 'json') {
    const errors = broken.flatMap(({ dir, errors }) =>
      errors.map((each) => ({ dir, ...each, text: formatFinding(each) })),
    );
    printJson({ differences, notCompared, errors });
  } else {
    for (const { dir, errors } of broken) {
      process.stderr.write(`reeve: ${dir} has ${count(errors.length, 'error')}; what is broken is not compared:\n`);
      for (const { text } of foldFindings(errors)) process.stderr.write(`  ${text}\n`);
    }
    printDifferences(differences);
    const names = notCompared.slice(0, NAMED_MAX).map(({ kind, name }) => `${kind} ${name}`);
    const more = notCompared.length > names.length ? [`and ${notCompared.length - names.length} more`] : [];
    const unread =
      notCompared.length === 0 ? '' : `, ${notCompared.length} not compared: ${[...names, ...more].join(', ')}`;
    process.stdout.write(`${count(differences.length, 'difference')}${unread}\n`);
  }
  // As diff(1): 1 when they differ, 2 when that cannot be said.
  if (broken.length > 0) process.exitCode = EXIT.usage;
  else if (differences.length > 0) process.exitCode = EXIT.findings;
}

/** Objects that are not compared and are named on the last line; a program gets all. */
const NAMED_MAX = 10;

function errorsOf(findings: readonly Finding[]): Finding[] {
  return findings.filter((each) => each.severity === 'error');
}

function printDifferences(differences: readonly Difference[]): void {
  const sign = { added: paint('green', '+'), removed: paint('red', '-'), changed: paint('yellow', '~') };
  for (const { kind, name, change, changes } of differences) {
    const object = `${sign[change]} ${kind} ${name}`;
    if (change !== 'changed') process.stdout.write(`${object}\n`);
    for (const { key, before = 'nothing', after = 'nothing' } of changes)
      process.stdout.write(`${object} ${key}: ${before} → ${after}\n`);
  }
}
