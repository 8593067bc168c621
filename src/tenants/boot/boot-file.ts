/** The boot file's text. */
import { readFileSync } from 'node:fs';
import { type PlacedProblem, readText } from '../documents/parse.ts';
import { lineAt, splitDocuments } from '../documents/split.ts';
import type { Finding } from '../model.ts';
import { type BootFile, bootFinding } from './boot-finding.ts';

/** `full`: where it is; `file`: what the operator called it. */
export function readBootFile(full: string, file: string): BootFile | { readonly findings: readonly Finding[] } {
  let text: string;
  try {
    text = readFileSync(full, 'utf8');
  } catch (cause) {
    const message = `cannot be read: ${(cause as NodeJS.ErrnoException).code}`;
    return { findings: [bootFinding(file, '', message, 'name a file that exists with --config')] };
  }
  const documents = [...splitDocuments(text)];
  const [only] = documents;
  if (only === undefined || documents.length > 1) {
    const message = `expected one document, found ${documents.length}`;
    return { findings: [bootFinding(file, '', message, 'tenancy documents belong into the tenancy directory')] };
  }
  const before = lineAt(text, only.offset) - 1;
  const at = (problem: PlacedProblem, facts: { kind?: unknown; metadata?: { name?: unknown } }): Finding => ({
    severity: 'error',
    file,
    kind: word(facts.kind),
    name: word(facts.metadata?.name),
    ...problem,
    line: before + problem.line,
  });
  const read = readText(only.text);
  if ('isGood' in read)
    return { findings: read.problems.map((each) => at(each, { kind: read.kind, metadata: { name: read.name } })) };
  return { value: read.value, place: (problem) => at(read.place(problem), (read.value ?? {}) as object) };
}

function word(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined;
}
