/**
 * Reads a tenancy directory as of one moment. A Kubernetes volume swaps `..data`, a link to the folder that holds the
 * files: the link is resolved once, everything is read behind it, and when it points elsewhere afterwards all is read again.
 */
import { isUtf8 } from 'node:buffer';
import type { Dirent } from 'node:fs';
import { constants, open, readdir, readlink, stat } from 'node:fs/promises';
import { join, relative, resolve } from 'node:path';

export interface FileText {
  /** Relative to the directory, with `/`. */
  readonly path: string;
  readonly text: string;
}

/** A file or folder that is there and could not be read. */
export interface ReadProblem {
  readonly path: string;
  readonly message: string;
  readonly remedy: string;
}

export interface DirectoryText {
  readonly files: readonly FileText[];
  readonly problems: readonly ReadProblem[];
  /** There is more than was read. */
  readonly isCut: boolean;
}

const FILE_BYTES_MAX = 64 * 2 ** 20;
const KEY_FILE_BYTES_MAX = 256 * 2 ** 10;
const TOTAL_BYTES_MAX = 256 * 2 ** 20;
const FILES_MAX = 10_000;
const DEPTH_MAX = 8;
/** A swap takes a few ms; so many during one read mean that the directory never rests, or that this process hardly runs. */
const TRIES_MAX = 10;
const READ_AT_ONCE = 16;

/** undefined when the directory itself cannot be read. */
export async function readDirectory(dir: string): Promise<DirectoryText | { readonly unreadable: string }> {
  let result: DirectoryText | { readonly unreadable: string };
  let tries = 0;
  do {
    const link = await dataLink(dir);
    result = await readAll(link === undefined ? dir : resolve(dir, link));
    if ((await dataLink(dir)) === link) return result;
  } while (++tries < TRIES_MAX);
  // Whole, it is what was in force a moment ago. With parts missing it is no version at all: its folder was taken away below us.
  const isWhole = 'files' in result && result.problems.length === 0;
  return isWhole ? result : { unreadable: `it was swapped ${TRIES_MAX} times while it was read` };
}

/** Where `..data` points, or undefined when there is none. */
export async function dataLink(dir: string): Promise<string | undefined> {
  return readlink(join(dir, '..data')).catch(() => undefined);
}

async function readAll(base: string): Promise<DirectoryText | { readonly unreadable: string }> {
  const walk: Walk = { base, paths: [], problems: [], folders: 0, isCut: false };
  const { problems } = walk;
  try {
    await list(walk, base, [await identityOf(base)]);
  } catch (cause) {
    return { unreadable: String((cause as NodeJS.ErrnoException).code) };
  }
  const files: FileText[] = [];
  let total = 0;
  for (let at = 0; at < walk.paths.length; at += READ_AT_ONCE) {
    const read = await Promise.all(walk.paths.slice(at, at + READ_AT_ONCE).map((path) => readOne(base, path)));
    for (const each of read) {
      if ('message' in each) {
        problems.push(each);
        continue;
      }
      total += Buffer.byteLength(each.text);
      if (total > TOTAL_BYTES_MAX)
        problems.push({
          path: each.path,
          message: `the directory holds more than ${TOTAL_BYTES_MAX} bytes`,
          remedy: 'remove files',
        });
      else files.push(each);
    }
  }
  return { files, problems, isCut: walk.isCut };
}

interface Walk {
  readonly base: string;
  readonly paths: string[];
  readonly problems: ReadProblem[];
  folders: number;
  isCut: boolean;
}

/**
 * `*.yaml`, `*.yml` and key sets `*.json`, in the order of their names (libuv lists a folder so); names that begin with a dot are Kubernetes' own, or nobody's.
 * `inside`: the folders on the way here and this one, by device and inode: links may lead in circles.
 */
async function list(walk: Walk, dir: string, inside: readonly string[]): Promise<void> {
  const entries = await readdir(dir, { withFileTypes: true }).catch((cause: NodeJS.ErrnoException) => {
    if (inside.length === 1) throw cause;
    walk.problems.push(unreadable(relative(walk.base, dir), cause));
    return [];
  });
  for (const entry of entries) {
    if (entry.name.startsWith('.') || walk.isCut) continue;
    const path = join(dir, entry.name);
    const name = relative(walk.base, path).replaceAll('\\', '/');
    if (await isFolder(entry, path)) await enter(walk, path, name, inside);
    else if (/\.(ya?ml|json)$/.test(entry.name)) walk.paths.push(name);
    if (walk.paths.length + walk.folders <= FILES_MAX) continue;
    walk.isCut = true;
    walk.paths.length = FILES_MAX - walk.folders;
    walk.problems.push({
      path: name,
      message: `more than ${FILES_MAX} files and folders; the rest is not read, and nothing is removed`,
      remedy: 'put several documents in a file',
    });
  }
}

async function isFolder(entry: Dirent, path: string): Promise<boolean> {
  if (!entry.isSymbolicLink()) return entry.isDirectory();
  return stat(path).then(
    (facts) => facts.isDirectory(),
    () => false,
  );
}

async function enter(walk: Walk, path: string, name: string, inside: readonly string[]): Promise<void> {
  const identity = await identityOf(path);
  if (inside.includes(identity))
    walk.problems.push({ path: name, message: 'is a link to a folder that it stands in', remedy: 'remove it' });
  else if (inside.length > DEPTH_MAX)
    walk.problems.push({ path: name, message: `folders nested deeper than ${DEPTH_MAX}`, remedy: 'flatten them' });
  else {
    walk.folders++;
    await list(walk, path, [...inside, identity]);
  }
}

async function identityOf(dir: string): Promise<string> {
  const { dev, ino } = await stat(dir);
  return `${dev}:${ino}`;
}

async function readOne(base: string, path: string): Promise<FileText | ReadProblem> {
  try {
    // Not blocking: opening a pipe for reading would otherwise wait for a writer, for ever.
    await using handle = await open(join(base, path), constants.O_RDONLY | constants.O_NONBLOCK);
    const facts = await handle.stat();
    const bytesMax = path.endsWith('.json') ? KEY_FILE_BYTES_MAX : FILE_BYTES_MAX;
    if (!facts.isFile()) return { path, message: 'is not a regular file', remedy: 'remove it' };
    if (facts.size > bytesMax) return { path, message: `is larger than ${bytesMax} bytes`, remedy: 'split it' };
    const bytes = await handle.readFile();
    if (!isUtf8(bytes)) return { path, message: 'is not UTF-8 text', remedy: 'save it as UTF-8' };
    return { path, text: bytes.toString('utf8') };
  } catch (cause) {
    return unreadable(path, cause as NodeJS.ErrnoException);
  }
}

function unreadable(path: string, { code }: NodeJS.ErrnoException): ReadProblem {
  return { path, message: `cannot be read: ${code}`, remedy: 'check that it exists and may be read' };
}
