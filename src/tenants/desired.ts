/**
 * What the files ask for, against what is live: which object stands where, what is broken and therefore stays on its last good
 * version, and what would be removed.
 */
import type { Finding } from './model.ts';
import type { Pace } from './pace.ts';
import type { ParsedDocument, PlacedProblem } from './parse.ts';
import type { Kind } from './schema.ts';
import { lineAt } from './split.ts';

export interface LoadedDocument {
  readonly text: string;
  readonly offset: number;
  readonly parsed: ParsedDocument;
}

export interface LoadedFile {
  readonly path: string;
  readonly text: string;
  readonly documents: readonly LoadedDocument[];
}

/** A live object: the document it was made of, and where that stood. */
export interface LiveObject {
  readonly json: string;
  readonly file: string;
}

/** An object as some document asks for it. */
export interface Wanted {
  readonly kind: Kind;
  readonly name: string;
  readonly json: string;
  readonly file: LoadedFile;
  readonly loaded: LoadedDocument;
}

export interface Desired {
  /** By `Kind/name`. */
  readonly wanted: ReadonlyMap<string, Wanted>;
  /** The same by kind. */
  readonly byKind: Readonly<Record<Kind, readonly Wanted[]>>;
  /** Keys whose document is broken: their object stays as it is. */
  readonly kept: ReadonlySet<string>;
  /** Files with a broken document nobody can name: none of their objects is removed. */
  readonly murky: ReadonlySet<string>;
  readonly findings: Finding[];
}

export const keyOf = (kind: string, name: string): string => `${kind}/${name}`;

/** A finding at a place in a document of a file. */
export function findingAt(
  file: LoadedFile,
  loaded: LoadedDocument,
  facts: { severity?: Finding['severity']; kind: string | undefined; name: string | undefined },
  problem: PlacedProblem,
): Finding {
  const { path, message, remedy, line, column } = problem;
  const first = lineAt(file.text, loaded.offset);
  return {
    severity: facts.severity ?? 'error',
    file: file.path,
    line: first + line - 1,
    column,
    kind: facts.kind,
    name: facts.name,
    path,
    message,
    remedy,
  };
}

/** `fileOf` says in which file a live object stands: of two documents of one name the live one wins. */
export async function gather(
  files: readonly LoadedFile[],
  fileOf: (key: string) => string | undefined,
  pace: Pace,
): Promise<Desired> {
  const wanted = new Map<string, Wanted>();
  const kept = new Set<string>();
  const murky = new Set<string>();
  const findings: Finding[] = [];
  for (const file of files) {
    for (const loaded of file.documents) {
      const slice = pace();
      if (slice !== undefined) await slice;
      const { parsed } = loaded;
      if (parsed.isGood) {
        const clash = admit(wanted, { kind: parsed.kind, name: parsed.name, json: parsed.json, file, loaded }, fileOf);
        if (clash !== undefined) findings.push(clash);
        continue;
      }
      if (parsed.kind === undefined || parsed.name === undefined) murky.add(file.path);
      else kept.add(keyOf(parsed.kind, parsed.name));
      for (const problem of parsed.problems) findings.push(findingAt(file, loaded, parsed, problem));
    }
  }
  const byKind: Record<Kind, Wanted[]> = { Sidecar: [], Plan: [], Tenant: [], IdentityProvider: [], Route: [] };
  for (const each of wanted.values()) {
    const slice = pace();
    if (slice !== undefined) await slice;
    byKind[each.kind].push(each);
  }
  return { wanted, byKind, kept, murky, findings };
}

/** Takes a document into `wanted`; of two of one name says a finding at the loser that names both places. */
function admit(
  wanted: Map<string, Wanted>,
  newcomer: Wanted,
  fileOf: (key: string) => string | undefined,
): Finding | undefined {
  const key = keyOf(newcomer.kind, newcomer.name);
  const holder = wanted.get(key);
  if (holder === undefined) {
    wanted.set(key, newcomer);
    return undefined;
  }
  const isNewcomerLive = fileOf(key) === newcomer.file.path && holder.file.path !== newcomer.file.path;
  if (isNewcomerLive) wanted.set(key, newcomer);
  const [winner, loser] = isNewcomerLive ? [newcomer, holder] : [holder, newcomer];
  const place = `${winner.file.path}:${lineAt(winner.file.text, winner.loaded.offset)}`;
  const problem = {
    line: 1,
    column: 1,
    path: 'metadata.name',
    message: `the name is taken by ${place}`,
    remedy: 'rename or remove one of them',
  };
  return findingAt(loser.file, loser.loaded, loser, { ...problem, line: 1 + leadingLines(loser.loaded.text) });
}

function leadingLines(text: string): number {
  return text.slice(0, text.search(/\S/)).split('\n').length - 1;
}
