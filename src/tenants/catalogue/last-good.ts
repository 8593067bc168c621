/**
 * The last known good tenancy on disk: what a restart parses nothing for, and comes up on when the mount is broken.
 *
 *   line 1      {"format":4,"schema":"…"}
 *   line 2 …    {"hash","kind","name","json","file","keys","plan","state","holds","warnings"}: an object in force; `hash` when a document of that text
 *               is what it was made of
 *   last line   {"sha256": of all bytes before}
 *
 * Written beside the old one, synced, renamed, and the folder synced: a crash leaves the one or the other.
 */
import { createHash } from 'node:crypto';
import { mkdir, open, readFile, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { type LoadedFile, textHash } from '../documents/load.ts';
import type { ParsedDocument, PlacedProblem } from '../documents/parse.ts';
import { schemaId } from '../generated/settings.ts';
import { keyOf } from '../name.ts';
import { type LiveObject, NO_DOCUMENT } from './live-object.ts';

export interface LastGood {
  /** Good documents by the hash of their text. */
  readonly remembered: ReadonlyMap<string, ParsedDocument>;
  readonly objects: readonly LiveObject[];
}

/** What this version of the schema accepted is taken back without being judged again; anything else is not taken back. */
const HEAD = JSON.stringify({ format: 4, schema: schemaId });
const FILE = 'last-good.jsonl';
/** Twice what a directory may hold. */
const BYTES_MAX = 512 * 2 ** 20;
const CHUNK_LINES = 1000;

interface Line extends LiveObject {
  readonly hash?: string;
  readonly warnings?: readonly PlacedProblem[];
}

/** The file as it was written, nothing at all when there is none, or why it is not trusted. */
export async function readLastGood(stateDir: string): Promise<LastGood | { readonly untrusted: string } | undefined> {
  let text: string;
  try {
    text = await readFile(join(stateDir, FILE), 'utf8');
  } catch (cause) {
    return (cause as NodeJS.ErrnoException).code === 'ENOENT'
      ? undefined
      : { untrusted: `cannot be read: ${(cause as Error).message}` };
  }
  const end = text.lastIndexOf('\n', text.length - 2) + 1;
  const sealed = /^\{"sha256":"([0-9a-f]{64})"\}\n$/.exec(text.slice(end))?.[1];
  if (text.length > BYTES_MAX || sealed !== createHash('sha256').update(text.slice(0, end)).digest('hex'))
    return { untrusted: 'its checksum does not match' };
  const [head, ...lines] = text.slice(0, end - 1).split('\n');
  return head === HEAD ? fromLines(lines) : { untrusted: 'it was written by another version' };
}

function fromLines(lines: readonly string[]): LastGood {
  const remembered = new Map<string, ParsedDocument>();
  const objects: LiveObject[] = [];
  for (const line of lines) {
    const { hash, warnings = [], kind, name, json, file, keys, plan, state, holds } = JSON.parse(line) as Line;
    if (hash !== undefined) remembered.set(hash, { isGood: true, kind, name, key: keyOf(kind, name), json, warnings });
    objects.push({ kind, name, json, file, keys, plan, state, holds });
  }
  return { remembered, objects };
}

/** Rejects when the disk refuses, and the old file stays. */
export async function writeLastGood(
  stateDir: string,
  files: readonly LoadedFile[],
  live: ReadonlyMap<string, LiveObject>,
): Promise<void> {
  const path = join(stateDir, FILE);
  await mkdir(stateDir, { recursive: true });
  const handle = await open(`${path}.new`, 'w', 0o600);
  try {
    const digest = createHash('sha256');
    for (const chunk of chunks(files, live)) {
      digest.update(chunk);
      await handle.writeFile(chunk);
    }
    await handle.writeFile(`${JSON.stringify({ sha256: digest.digest('hex') })}\n`);
    await handle.sync();
  } finally {
    await handle.close();
  }
  await rename(`${path}.new`, path);
  const folder = await open(stateDir, 'r');
  await folder.sync().finally(() => folder.close());
}

function* chunks(files: readonly LoadedFile[], live: ReadonlyMap<string, LiveObject>): Generator<string> {
  let lines = [HEAD];
  for (const line of linesOf(files, live)) {
    lines.push(line);
    if (lines.length < CHUNK_LINES) continue;
    yield `${lines.join('\n')}\n`;
    lines = [];
  }
  if (lines.length > 0) yield `${lines.join('\n')}\n`;
}

function* linesOf(files: readonly LoadedFile[], live: ReadonlyMap<string, LiveObject>): Generator<string> {
  const sources = new Map<string, { readonly text: string; readonly warnings: readonly PlacedProblem[] }>();
  for (const file of files)
    for (const { text, parsed } of file.documents) {
      if (!parsed.isGood) continue;
      if (live.get(parsed.key)?.json === parsed.json) sources.set(parsed.key, { text, warnings: parsed.warnings });
    }
  for (const [key, object] of live) {
    if (object.json === NO_DOCUMENT) continue;
    const source = sources.get(key);
    if (source === undefined) yield JSON.stringify(object);
    else yield JSON.stringify({ hash: textHash(source.text), ...object, warnings: source.warnings });
  }
}
