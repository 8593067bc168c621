/**
 * Reads a tenancy directory as of one moment. A Kubernetes volume swaps `..data`, a link to the folder that holds the
 * files: the link is resolved once, everything is read behind it, and when it points elsewhere afterwards all is read again.
 */
import { isUtf8 } from 'node:buffer';
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
}

const FILE_BYTES_MAX = 64 * 2 ** 20;
const KEY_FILE_BYTES_MAX = 256 * 2 ** 10;
const TOTAL_BYTES_MAX = 256 * 2 ** 20;
const FILES_MAX = 10_000;
const DEPTH_MAX = 8;
/** A swap takes a few ms; more than five during one read means the directory never rests. */
const TRIES_MAX = 5;
const READ_AT_ONCE = 16;

/** undefined when the directory itself cannot be read. */
export async function readDirectory(dir: string): Promise<DirectoryText | { readonly unreadable: string }> {
  let tries = 0;
  let link: string | undefined;
  let result: DirectoryText | { readonly unreadable: string };
  do {
    link = await dataLink(dir);
    result = await readAll(link === undefined ? dir : resolve(dir, link));
  } while ((await dataLink(dir)) !== link && ++tries < TRIES_MAX);
  return result;
}

/** Where `..data` points, or undefined when there is none. */
export async function dataLink(dir: string): Promise<string | undefined> {
  return readlink(join(dir, '..data')).catch(() => undefined);
}

async function readAll(base: string): Promise<DirectoryText | { readonly unreadable: string }> {
  const problems: ReadProblem[] = [];
  const paths = await list(base, base, 0, problems).catch((cause: NodeJS.ErrnoException) => cause);
  if (paths instanceof Error) return { unreadable: paths.message };
  paths.sort();
  for (const path of paths.slice(FILES_MAX))
    problems.push({ path, message: `more than ${FILES_MAX} files`, remedy: 'put several documents in a file' });
  const files: FileText[] = [];
  let total = 0;
  const chosen = paths.slice(0, FILES_MAX);
  for (let at = 0; at < chosen.length; at += READ_AT_ONCE) {
    const read = await Promise.all(chosen.slice(at, at + READ_AT_ONCE).map((path) => readOne(base, path)));
    for (const each of read) {
      if ('message' in each) {
        problems.push(each);
        continue;
      }
      total += each.text.length;
      if (total > TOTAL_BYTES_MAX)
        problems.push({
          path: each.path,
          message: `the directory holds more than ${TOTAL_BYTES_MAX} bytes`,
          remedy: 'remove files',
        });
      else files.push(each);
    }
  }
  return { files, problems };
}

/** `*.yaml`, `*.yml` and key sets `*.json`; names that begin with a dot are Kubernetes' own, or nobody's. */
async function list(base: string, dir: string, depth: number, problems: ReadProblem[]): Promise<string[]> {
  const paths: string[] = [];
  const entries = await readdir(dir, { withFileTypes: true }).catch((cause: NodeJS.ErrnoException) => {
    if (depth === 0) throw cause;
    problems.push(unreadable(relative(base, dir), cause));
    return [];
  });
  for (const entry of entries) {
    if (entry.name.startsWith('.')) continue;
    const path = join(dir, entry.name);
    const isDirectory =
      entry.isDirectory() ||
      (entry.isSymbolicLink() && ((await stat(path).catch(() => undefined))?.isDirectory() ?? false));
    if (isDirectory && depth < DEPTH_MAX) paths.push(...(await list(base, path, depth + 1, problems)));
    else if (isDirectory)
      problems.push({
        path: relative(base, path),
        message: `folders nested deeper than ${DEPTH_MAX}`,
        remedy: 'flatten them',
      });
    else if (/\.(ya?ml|json)$/.test(entry.name)) paths.push(relative(base, path).replaceAll('\\', '/'));
  }
  return paths;
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
