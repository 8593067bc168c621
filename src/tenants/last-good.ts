/**
 * The last known good tenancy on disk: what a restart parses nothing for, and comes up on when the mount is broken.
 *
 *   line 1      {"format":1}
 *   line 2 …    {"hash","file","kind","name","json"} of every good document, {"key","live"} of every live object whose
 *               document is broken or gone, {"file","text"} of every key file
 *   last line   {"sha256": of all bytes before}
 *
 * Written beside the old one, synced, renamed: a crash leaves the one or the other.
 */
import { createHash } from 'node:crypto';
import { mkdir, open, readFile, rename } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { keyOf, type LiveObject, type LoadedFile } from './desired.ts';
import { textHash } from './load.ts';
import type { Pace } from './pace.ts';
import type { ParsedDocument } from './parse.ts';

export interface LastGood {
  /** Good documents by the hash of their text. */
  readonly remembered: ReadonlyMap<string, ParsedDocument>;
  readonly objects: readonly { readonly key: string; readonly live: LiveObject }[];
  readonly keyFiles: readonly LoadedFile[];
}

const FORMAT = 1;
const FILE = 'last-good.jsonl';
/** Twice what a directory may hold. */
const BYTES_MAX = 512 * 2 ** 20;
const CHUNK_LINES = 100;

type Line =
  | {
      readonly hash: string;
      readonly file: string;
      readonly kind: never;
      readonly name: string;
      readonly json: string;
    }
  | { readonly key: string; readonly live: LiveObject }
  | { readonly file: string; readonly text: string };

/** The file as it was written, nothing at all when there is none, or why it is not trusted. */
export async function readLastGood(
  stateDir: string,
  pace: Pace,
): Promise<LastGood | { readonly untrusted: string } | undefined> {
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
  return readLines(text.slice(0, end), pace);
}

async function readLines(text: string, pace: Pace): Promise<LastGood | { readonly untrusted: string }> {
  const remembered = new Map<string, ParsedDocument>();
  const objects: { key: string; live: LiveObject }[] = [];
  const keyFiles: LoadedFile[] = [];
  const lines = text.split('\n');
  if (lines[0] !== JSON.stringify({ format: FORMAT })) return { untrusted: 'it was written by another version' };
  for (const line of lines.slice(1, -1)) {
    const slice = pace();
    if (slice !== undefined) await slice;
    const each = JSON.parse(line) as Line;
    if ('hash' in each) {
      remembered.set(each.hash, { isGood: true, kind: each.kind, name: each.name, json: each.json });
      objects.push({ key: keyOf(each.kind, each.name), live: { json: each.json, file: each.file } });
    } else if ('key' in each) objects.push(each);
    else keyFiles.push({ path: each.file, text: each.text, documents: [] });
  }
  return { remembered, objects, keyFiles };
}

/** Writes in slices; rejects when the disk refuses, and the old file stays. */
export async function writeLastGood(
  stateDir: string,
  files: readonly LoadedFile[],
  live: ReadonlyMap<string, LiveObject>,
  pace: Pace,
): Promise<void> {
  const path = join(stateDir, FILE);
  await mkdir(dirname(path), { recursive: true });
  const handle = await open(`${path}.new`, 'w', 0o600);
  try {
    const digest = createHash('sha256');
    for await (const chunk of chunks(files, live, pace)) {
      digest.update(chunk);
      await handle.write(chunk);
    }
    await handle.write(`${JSON.stringify({ sha256: digest.digest('hex') })}\n`);
    await handle.sync();
  } finally {
    await handle.close();
  }
  await rename(`${path}.new`, path);
}

async function* chunks(
  files: readonly LoadedFile[],
  live: ReadonlyMap<string, LiveObject>,
  pace: Pace,
): AsyncGenerator<string> {
  let lines = [JSON.stringify({ format: FORMAT })];
  for (const line of linesOf(files, live)) {
    lines.push(line);
    const slice = pace();
    if (slice !== undefined) await slice;
    if (lines.length < CHUNK_LINES) continue;
    yield `${lines.join('\n')}\n`;
    lines = [];
  }
  if (lines.length > 0) yield `${lines.join('\n')}\n`;
}

function* linesOf(files: readonly LoadedFile[], live: ReadonlyMap<string, LiveObject>): Generator<string> {
  const written = new Set<string>();
  for (const file of files) {
    if (file.path.endsWith('.json')) yield JSON.stringify({ file: file.path, text: file.text });
    for (const { text, parsed } of file.documents) {
      if (!parsed.isGood || live.get(keyOf(parsed.kind, parsed.name))?.json !== parsed.json) continue;
      written.add(keyOf(parsed.kind, parsed.name));
      yield JSON.stringify({
        hash: textHash(text),
        file: file.path,
        kind: parsed.kind,
        name: parsed.name,
        json: parsed.json,
      });
    }
  }
  for (const [key, object] of live) if (!written.has(key)) yield JSON.stringify({ key, live: object });
}
