/** `reeve config validate|diff`. */
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { ReeveError } from '../../core/index.ts';
import {
  type BootResult,
  bootSidecar,
  diffSnapshots,
  type Finding,
  foldFindings,
  formatFinding,
  inspectTenancy,
  type SidecarConfig,
  type Snapshot,
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
