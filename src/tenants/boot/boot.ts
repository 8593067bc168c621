/** The boot file: one Sidecar document, with settings from flags and variables laid over it. */
import { dirname, resolve } from 'node:path';
import type { Place } from '../../core/index.ts';
import { problemsIn } from '../documents/judge.ts';
import type { Problem } from '../findings.ts';
import { type Setting, sidecarSettings } from '../generated/settings.ts';
import { Sidecar } from '../generated/sidecar-validator.js';
import type { Finding } from '../model.ts';
import type { SidecarDocument } from '../schema.ts';
import { type BootFile, bootFinding } from './boot-finding.ts';
import { compileSidecar } from './compile-sidecar.ts';
import { object } from './objections.ts';
import type { SidecarConfig } from './sidecar.ts';

/** A value of a flag or variable, with the name it was given under. */
export interface GivenSetting {
  readonly path: string;
  readonly text: string;
  readonly place: Place;
}

export type BootResult =
  | { readonly config: SidecarConfig; readonly findings: readonly Finding[] }
  | { readonly config: undefined; readonly findings: readonly Finding[] };

/** `file`: the boot file, or undefined when flags say everything. Relative paths in the file are relative to it, in flags to `cwd`. */
export async function bootSidecar(
  file: string | undefined,
  given: readonly GivenSetting[],
  cwd: string,
): Promise<BootResult> {
  if (file === undefined) return bootFlags(given, cwd);
  // With YAML, which the loop that moves requests has no other use for.
  const { readBootFile } = await import('./boot-file.ts');
  const full = resolve(cwd, file);
  const read = readBootFile(full, file);
  return 'findings' in read
    ? { config: undefined, findings: read.findings }
    : boot(read, dirname(full), file, given, cwd);
}

/** Without a file. */
export function bootFlags(given: readonly GivenSetting[], cwd: string): BootResult {
  return boot(flagsOnly, cwd, 'flags', given, cwd);
}

function boot(read: BootFile, base: string, name: string, given: readonly GivenSetting[], cwd: string): BootResult {
  const document = absolutePaths(read.value, base);
  const findings = given.flatMap((each) => layOver(document, each, cwd));
  if (findings.length > 0) return { config: undefined, findings };
  const problems = problemsIn(document, { Sidecar });
  if (problems.length > 0) return { config: undefined, findings: problems.map((each) => findingOf(each, given, read)) };
  const objections = object(document as SidecarDocument, name);
  return objections.length > 0
    ? { config: undefined, findings: objections }
    : { config: compileSidecar(document as SidecarDocument), findings: [] };
}

const flagsOnly: BootFile = {
  value: { apiVersion: 'reeve.dev/v1', kind: 'Sidecar', metadata: { name: 'sidecar' }, spec: {} },
  place: ({ path, message, remedy }) => bootFinding('flags', path.join('.'), message, remedy),
};

/** A problem of the whole, at the flag or variable that said it, else in the file. What is missing may be set by its flag. */
function findingOf(problem: Problem, given: readonly GivenSetting[], { place }: BootFile): Finding {
  const missing = /^(\w+) is missing$/.exec(problem.message)?.[1];
  const path = [...problem.path, ...(missing === undefined ? [] : [missing])].join('.');
  const isAt = (each: { readonly path: string }): boolean => path === `spec.${each.path}`;
  const by = given.find((each) => isAt(each) || path.startsWith(`spec.${each.path}.`));
  if (by !== undefined) return bootFinding(by.place, path, problem.message, problem.remedy);
  // Of an object that is missing whole, the first of its keys stands for it.
  const setting = sidecarSettings.find((each) => isAt(each) || `spec.${each.path}`.startsWith(`${path}.`));
  const remedy =
    missing === undefined || setting === undefined
      ? problem.remedy
      : `set ${setting.flag}, ${setting.env}, or spec.${setting.path} in the file of --config`;
  const placed = place({ ...problem, remedy });
  return { severity: 'error', ...placed, path: missing === undefined ? placed.path : path };
}

/** Settings that are paths: in the file as its author sees them, relative to the file; in flags relative to where they were typed. */
const PATH_SETTINGS: ReadonlySet<string> = new Set([
  'tenancy.dir',
  'stateDir',
  'identity.pepperFile',
  'gossip.keyFile',
  'gossip.seeds.file',
  'metering.dir',
  'metering.collector.tls.caFile',
  'metering.collector.tls.certFile',
  'metering.collector.tls.keyFile',
  'metering.collector.tokenFile',
]);

/** A copy of the document with its paths made absolute. It may be anything at all: it is judged later. */
function absolutePaths(value: unknown, base: string): unknown {
  const document = structuredClone(value);
  for (const path of PATH_SETTINGS) {
    const [parent, key] = parentOf(document, path, false);
    const text = parent?.[key];
    if (parent !== undefined && typeof text === 'string') parent[key] = resolve(base, text);
  }
  return document;
}

/** The object that holds a setting, and its key there; undefined where something else stands in the way. */
function parentOf(document: unknown, path: string, isMade: boolean): [Record<string, unknown> | undefined, string] {
  const keys = ['spec', ...path.split('.')];
  const last = keys.pop() as string;
  let target = document as Record<string, unknown> | undefined;
  for (const key of keys) {
    if (isMade && isObject(target)) target[key] ??= {};
    target = isObject(target) ? (target[key] as Record<string, unknown>) : undefined;
  }
  return [isObject(target) ? target : undefined, last];
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function layOver(document: unknown, { path, text, place }: GivenSetting, cwd: string): Finding[] {
  const setting = sidecarSettings.find((each) => each.path === path) as Setting;
  const value = readSetting(setting, text);
  if (value === undefined)
    return [bootFinding(place, '', `expected ${EXPECTED[setting.type]}, got ${JSON.stringify(text)}`, undefined)];
  const [parent, key] = parentOf(document, path, true);
  if (parent !== undefined) parent[key] = PATH_SETTINGS.has(path) ? resolve(cwd, text) : value;
  return [];
}

const EXPECTED: Readonly<Record<Setting['type'], string>> = {
  text: 'a text',
  number: 'a number',
  flag: 'true or false',
  list: 'a list such as a,b',
  map: 'a map such as name=value,name=value',
};

function readSetting({ type }: Setting, text: string): unknown {
  switch (type) {
    case 'text':
      return text;
    case 'number':
      return /^\d[\d_]*(\.\d+)?$/.test(text) ? Number(text.replaceAll('_', '')) : undefined;
    case 'flag':
      return { true: true, '': true, false: false }[text];
    case 'list':
      return text
        .split(',')
        .map((each) => each.trim())
        .filter((each) => each !== '');
    case 'map': {
      const pairs = text.split(',').map((each) => each.split('='));
      return pairs.every((pair) => pair.length === 2) ? Object.fromEntries(pairs) : undefined;
    }
  }
}
