/**
 * Memory that this process holds and does not need now, given back to the kernel by calls of the C library that Node has no name for:
 *
 *   malloc_trim   what was freed, and kept for later
 *   madvise       pages of Node's own file: a start touches others than requests do, and with each the kernel maps the fifteen around it.
 *                 What is needed again is mapped again, from the kernel's cache of the file.
 *
 * Only pages that are as they stand in the file are dropped, and only of the image that was loaded: it stands where it is as long as the process lives.
 * All of it is done by threads of libuv, some milliseconds in which the loop goes on, but for what it wants of an arena that is just trimmed.
 */
import { open, readlink } from 'node:fs/promises';
import { promisify } from 'node:util';
import type { LibraryHandle } from 'koffi';

/** A piece of the address space: where it begins, and its bytes. */
export type Span = readonly [start: number, length: number];

/** In all Linux. The first, since 5.4, has pages counted as not used lately, so that dropping them does not count as a use. */
const MADV_COLD = 20;
const MADV_DONTNEED = 4;
/** Some twenty mappings; Node's image is seven. One that is cut off is not taken. */
const SMAPS_BYTES_MAX = 16 * 2 ** 10;

type Calls = Awaited<ReturnType<typeof openCalls>>;

export class ResidentMemory {
  readonly #onUnavailable: (cause: unknown) => void;
  #calls: Calls | undefined;
  #isSaid = false;

  /** `onUnavailable`: said once, where nothing can be given back. */
  constructor(onUnavailable: (cause: unknown) => void) {
    this.#onUnavailable = onUnavailable;
  }

  /** All that is resident of the process; undefined: nobody can say, such as where there is no descriptor left. */
  bytes(): number | undefined {
    try {
      return process.memoryUsage.rss();
    } catch {
      return undefined;
    }
  }

  /**
   * Resolves with how long it took, ms: some, and more where much of what was freed lies between what is used, or others have the cores. The first time
   * what makes the calls is loaded, which holds this thread for 10 ms. Never rejects: what fails is tried again the next time.
   */
  async giveBack(): Promise<number> {
    try {
      this.#calls ??= await openCalls();
      const began = performance.now();
      await dropFile(this.#calls);
      await this.#calls.trim();
      return performance.now() - began;
    } catch (cause) {
      if (!this.#isSaid) this.#onUnavailable(cause);
      this.#isSaid = true;
      return 0;
    }
  }
}

async function openCalls() {
  if (process.platform !== 'linux') throw new Error(`made for Linux, not for ${process.platform}`);
  const koffi = await import('koffi');
  const library = koffi.load(null);
  const madvise = library.func('int madvise(size_t start, size_t length, int advice)');
  return { madvise: promisify<number, number, number, number>(madvise.async), trim: trimOf(library) };
}

/** Only GNU's library keeps much, and has the call. */
function trimOf(library: LibraryHandle): () => Promise<unknown> {
  try {
    const trim = promisify<number, number>(library.func('int malloc_trim(size_t pad)').async);
    return () => trim(0);
  } catch {
    return async () => {};
  }
}

/** Looked up each time: whoever set a breakpoint meanwhile has written to a page. One that is set in the milliseconds between is lost. */
async function dropFile({ madvise }: Pick<Calls, 'madvise'>): Promise<void> {
  const spans = imageSpans(await firstMappings(), await readlink('/proc/self/exe', 'latin1'));
  if (spans.length === 0) throw new Error('the file of Node is not mapped as it is');
  for (const [start, length] of spans) {
    await madvise(start, length, MADV_COLD);
    if ((await madvise(start, length, MADV_DONTNEED)) !== 0) throw new Error('madvise was refused');
  }
}

/** The image stands below all else. Of a mapping the kernel looks at every page as it is read here: all of them take as long as giving back. */
async function firstMappings(): Promise<string> {
  const bytes = Buffer.alloc(SMAPS_BYTES_MAX);
  await using file = await open('/proc/self/smaps', 'r');
  let length = 0;
  for (let read = -1; read !== 0 && length < bytes.length; length += read)
    read = (await file.read(bytes, length, bytes.length - length, null)).bytesRead;
  return bytes.toString('latin1', 0, length);
}

/**
 * What is mapped to be read or run of the image of a file, by `/proc/PID/smaps`: from the begin of the file to what of it may be written. V8 maps some of it
 * once more for each thread, elsewhere, and takes that away when the thread ends. Where a page was written, such as by the linker before
 * it was made read-only, it stands as anonymous, in memory or in swap.
 */
export function imageSpans(smaps: string, file: string): Span[] {
  const spans: Span[] = [];
  let isImage = false;
  for (const mapping of smaps.split(/^(?=[0-9a-f]+-[0-9a-f]+ )/m)) {
    const head = /^([0-9a-f]+)-([0-9a-f]+) (\S+) ([0-9a-f]+) \S+ \d+ *(.*)$/m.exec(mapping);
    const [, from = '', to = '', access = '', offset = '', path] = head ?? [];
    if (path === file && Number.parseInt(offset, 16) === 0) isImage = true;
    else if (path !== file || access.includes('w')) isImage = false;
    if (!isImage || !/^r-[x-]p$/.test(access)) continue;
    if (!/^Anonymous: +0 kB$/m.test(mapping) || !/^Swap: +0 kB$/m.test(mapping)) continue;
    const start = Number.parseInt(from, 16);
    spans.push([start, Number.parseInt(to, 16) - start]);
  }
  return spans;
}
