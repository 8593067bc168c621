/** Files as read to files as parsed: what is the same text as before is not parsed again. */
import { hash } from 'node:crypto';
import type { Timers } from '../core/index.ts';
import type { LoadedDocument, LoadedFile } from './desired.ts';
import type { Pace } from './pace.ts';
import type { ParsedDocument } from './parse.ts';
import { parseMany } from './parse-many.ts';
import type { FileText } from './read-directory.ts';
import { type DocumentText, splitDocuments } from './split.ts';

/** 200,000 documents in a tenancy, all files together. */
export const DOCUMENTS_MAX = 200_000;

export interface LoadResult {
  readonly files: readonly LoadedFile[];
  /** How many documents had to be parsed. */
  readonly parsed: number;
  /** Files whose documents beyond the bound were left out. */
  readonly overflowed: string | undefined;
}

export interface LoadWorld {
  readonly timers: Timers;
  readonly pace: Pace;
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
}

/** `previous` by path. */
export async function loadFiles(
  texts: readonly FileText[],
  previous: ReadonlyMap<string, LoadedFile>,
  world: LoadWorld,
): Promise<LoadResult> {
  const files: (LoadedFile | Pending)[] = [];
  const fresh: { document: Pending['documents'][number] }[] = [];
  const known = new Known(previous);
  let count = 0;
  let overflowed: string | undefined;
  for (const { path, text } of texts) {
    const before = previous.get(path);
    if (before !== undefined && before.text === text) {
      files.push(before);
      count += before.documents.length;
      continue;
    }
    const pending: Pending = { path, text, documents: [] };
    files.push(pending);
    let at = 0;
    for (const each of splitDocuments(text)) {
      if (++count > DOCUMENTS_MAX) {
        overflowed ??= path;
        break;
      }
      const slice = world.pace();
      if (slice !== undefined) await slice;
      const parsed =
        known.find(each.text, before?.documents[at++]) ??
        (world.remembered.size === 0 ? undefined : world.remembered.get(textHash(each.text)));
      const document = { ...each, parsed };
      pending.documents.push(document);
      if (parsed === undefined) fresh.push({ document });
    }
  }
  const results = await parseMany(
    fresh.map(({ document }) => document.text),
    world.timers,
  );
  for (const [at, { document }] of fresh.entries()) document.parsed = results[at];
  return { files: files as LoadedFile[], parsed: fresh.length, overflowed };
}

/** Finds the result of an earlier document of the same text: at the same place first, by text when something moved. */
class Known {
  readonly #previous: ReadonlyMap<string, LoadedFile>;
  #byText: Map<string, ParsedDocument> | undefined;

  constructor(previous: ReadonlyMap<string, LoadedFile>) {
    this.#previous = previous;
  }

  find(text: string, atSamePlace: LoadedDocument | undefined): ParsedDocument | undefined {
    if (atSamePlace?.text === text) return atSamePlace.parsed;
    if (this.#previous.size === 0) return undefined;
    this.#byText ??= this.#index();
    return this.#byText.get(text);
  }

  #index(): Map<string, ParsedDocument> {
    const byText = new Map<string, ParsedDocument>();
    for (const file of this.#previous.values()) for (const { text, parsed } of file.documents) byText.set(text, parsed);
    return byText;
  }
}
