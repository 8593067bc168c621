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
  const known = new Known(previous, remembered);
  let left = DOCUMENTS_MAX;
  const files = texts.map(({ path, text }): LoadedFile | Pending => {
    const before = previous.get(path);
    const isSame = before !== undefined && before.text === text && !before.isCut && before.documents.length <= left;
    const file = isSame ? before : splitFile(path, text, left, before, known);
    left -= file.documents.length;
    return file;
  });
  const fresh = files.flatMap((file) =>
    file === previous.get(file.path) ? [] : (file as Pending).documents.filter((each) => each.parsed === undefined),
  );
  const results = await parseMany(
    fresh.map((document) => document.text),
    timers,
  );
  for (const [at, document] of fresh.entries()) document.parsed = results[at];
  return files as LoadedFile[];
}

function splitFile(path: string, text: string, left: number, before: LoadedFile | undefined, known: Known): Pending {
  const file: Pending = { path, text, documents: [], isCut: false };
  if (!isTenancyFile(path)) return file;
  for (const each of splitDocuments(text)) {
    if (file.documents.length === left) {
      file.isCut = true;
      break;
    }
    file.documents.push({ ...each, parsed: known.find(each.text, before?.documents[file.documents.length]) });
  }
  return file;
}

/** Documents stand in YAML files; what else is read are key sets. */
export function isTenancyFile(path: string): boolean {
  return !path.endsWith('.json');
}

/** Finds the result of an earlier document of the same text: at the same place first, by text when something moved. */
class Known {
  readonly #previous: ReadonlyMap<string, LoadedFile>;
  readonly #remembered: ReadonlyMap<string, ParsedDocument>;
  #byText: Map<string, ParsedDocument> | undefined;

  constructor(previous: ReadonlyMap<string, LoadedFile>, remembered: ReadonlyMap<string, ParsedDocument>) {
    this.#previous = previous;
    this.#remembered = remembered;
  }

  find(text: string, atSamePlace: LoadedDocument | undefined): ParsedDocument | undefined {
    if (atSamePlace?.text === text) return atSamePlace.parsed;
    if (this.#remembered.size > 0) return this.#remembered.get(textHash(text));
    this.#byText ??= this.#index();
    return this.#byText.get(text);
  }

  #index(): Map<string, ParsedDocument> {
    const byText = new Map<string, ParsedDocument>();
    for (const file of this.#previous.values()) for (const { text, parsed } of file.documents) byText.set(text, parsed);
    return byText;
  }
}
