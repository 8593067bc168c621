/** Files as read to files as parsed: what is the same text as before is not parsed again. */
import { hash } from 'node:crypto';
import type { Timers } from '../../core/index.ts';
import type { ParsedDocument } from './parse.ts';
import { parseMany } from './parse-many.ts';
import type { FileText } from './read-directory.ts';
import { type DocumentText, splitDocuments } from './split.ts';

export interface LoadedDocument extends DocumentText {
  readonly parsed: ParsedDocument;
}

export interface LoadedFile {
  readonly path: string;
  readonly text: string;
  readonly documents: readonly LoadedDocument[];
  /** Documents beyond the bound were left out: no object of this file is removed. */
  readonly isCut: boolean;
}

/** 200,000 documents in a tenancy, all files together. */
export const DOCUMENTS_MAX = 200_000;

export interface LoadWorld {
  readonly timers: Timers;
  /** Results of an earlier process by the hash of their text. */
  readonly remembered: ReadonlyMap<string, ParsedDocument>;
}

/** The hash by which a document's text is known across restarts. */
export function textHash(text: string): string {
  return hash('sha1', text, 'base64');
}

interface Pending {
  readonly path: string;
  readonly text: string;
  readonly documents: (DocumentText & { parsed: ParsedDocument | undefined })[];
  isCut: boolean;
}

/** `previous` by path. A file whose text did not change is the same object as before. */
export async function loadFiles(
  texts: readonly FileText[],
  previous: ReadonlyMap<string, LoadedFile>,
  { timers, remembered }: LoadWorld,
): Promise<LoadedFile[]> {
  let left = DOCUMENTS_MAX;
  const files = texts.map(({ path, text }): LoadedFile | Pending => {
    const before = previous.get(path);
    const isSame = before !== undefined && before.text === text && !before.isCut && before.documents.length <= left;
    const file = isSame ? before : splitFile(path, text, left, before);
    left -= file.documents.length;
    return file;
  });
  const pending = files.filter((file): file is Pending => file !== previous.get(file.path));
  const known = movedDocuments(previous, new Map(pending.map((file) => [file.path, file])));
  const fresh = pending.flatMap((file) => file.documents.filter((each) => each.parsed === undefined));
  for (const document of fresh)
    document.parsed = remembered.size > 0 ? remembered.get(textHash(document.text)) : known.get(document.text);
  const unknown = fresh.filter((each) => each.parsed === undefined);
  const results = await parseMany(
    unknown.map((document) => document.text),
    timers,
  );
  for (const [at, document] of unknown.entries()) document.parsed = results[at];
  return files as LoadedFile[];
}

/** What stands at the place where it stood is known. */
function splitFile(path: string, text: string, left: number, before: LoadedFile | undefined): Pending {
  const file: Pending = { path, text, documents: [], isCut: false };
  if (!isTenancyFile(path)) return file;
  for (const each of splitDocuments(text)) {
    if (file.documents.length === left) {
      file.isCut = true;
      break;
    }
    const atSamePlace = before?.documents[file.documents.length];
    file.documents.push({ ...each, parsed: atSamePlace?.text === each.text ? atSamePlace.parsed : undefined });
  }
  return file;
}

/** What stood in a file that changed or is gone, and is not at its place any more: by text. */
function movedDocuments(
  previous: ReadonlyMap<string, LoadedFile>,
  changed: ReadonlyMap<string, Pending>,
): Map<string, ParsedDocument> {
  const moved = new Map<string, ParsedDocument>();
  for (const { path, documents } of previous.values()) {
    const now = changed.get(path);
    if (now === undefined) continue;
    for (const [at, { text, parsed }] of documents.entries())
      if (now.documents[at]?.parsed !== parsed) moved.set(text, parsed);
  }
  return moved;
}

/** Documents stand in YAML files; what else is read are key sets. */
export function isTenancyFile(path: string): boolean {
  return !path.endsWith('.json');
}
