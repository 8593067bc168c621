/**
 * Folds what a segment of the spool holds into windows, in its place: sums stay exact, single requests are no more.
 *
 *   [block][block][mark][block] ▒▒ [block]   ──▶   [windows][windows][mark]
 *    └───────────────────────┘     └────┘           a hole in the numbers stays one, and marks are kept
 */
import { crc32, zstdDecompressSync } from 'node:zlib';
import type { Timers } from '../core/index.ts';
import { endBody, markBody, type PackedWindows, type Run, readFrame, windowsBody } from './block.ts';
import type { Part } from './part.ts';
import { readRecords } from './runs.ts';
import type { Spool } from './spool.ts';
import { readWindows, Windows } from './windows.ts';

/** The loop is held no longer than that, ms, between two looks at what else is there. */
const SLICE_MS = 2;
/**
 * Of one frame before it is compressed, at most: blocks are added below the first, some 50,000 rows, and windows up to the second. As large as a
 * frame can carry: a row is worth the more, the more records it stands for, and with 10,000 tenants their second ones come late.
 */
const FRAME_BYTES_ENOUGH = 5 * 2 ** 20;
const FRAME_BYTES_FULL = 7 * 2 ** 20;
/** No block has more. */
const ROWS_MAX = 2 ** 18;
/** Of the body of a frame: the message that it becomes has room in the collector's 2 MiB, and so has its entry in the ledger. */
const FOLDED_BYTES_MAX = 2 * 2 ** 20 - 64 * 1024;
/** What one frame of windows may be uncompressed, bytes. */
export const WINDOWS_BYTES_MAX: number = 16 * 2 ** 20;

export type Pack = (payload: Buffer) => Promise<Buffer>;

export interface FoldWorld {
  readonly spool: Spool;
  readonly timers: Timers;
  readonly now: () => number;
  readonly pack: Pack;
}

/** Bodies of frames that stand for those of the part; undefined: it cannot be folded, or something of it was told meanwhile. */
export async function foldPart(world: FoldWorld, part: Part, spanMs: number): Promise<Buffer[] | undefined> {
  const { spool, timers, now } = world;
  const folding = new Folding(world.pack, spanMs);
  let mark = 0;
  let sliceEnd = now() + SLICE_MS;
  for (const { segment, body, sum } of spool.frames({ segment: part.number, offset: 0 })) {
    if (segment !== part.number) break;
    const run = readFrame(body, sum);
    if (typeof run === 'number') mark = Math.max(mark, run);
    else if (run !== undefined && !(await folding.add(run))) return undefined;
    if (now() < sliceEnd) continue;
    await timers.yieldLoop();
    sliceEnd = now() + SLICE_MS;
    if (part.isMarked) return undefined;
  }
  if (!(await folding.flush())) return undefined;
  if (part.isMarked || spool.part(part.number) === undefined) return undefined;
  return mark === 0 ? folding.bodies : [...folding.bodies, markBody(mark)];
}

/** Of which records. */
type Range = Omit<Run, 'records' | 'windows'>;

class Folding {
  readonly bodies: Buffer[] = [];
  readonly #pack: Pack;
  readonly #windows: Windows;
  /** What the windows hold. */
  #run: Range | undefined;

  constructor(pack: Pack, spanMs: number) {
    this.#pack = pack;
    this.#windows = new Windows({ spanMs, rowsMax: ROWS_MAX, seriesMax: ROWS_MAX });
  }

  /** False: it is damaged, or no frame has room for it. */
  async add(run: Run): Promise<boolean> {
    if (run.lastSeq < run.firstSeq) {
      if (!(await this.flush())) return false;
      this.bodies.push(endBody(run.lastSeq, run.chainBefore, run.baseMs, 0));
      return true;
    }
    const held = this.#run;
    const follows = held !== undefined && run.firstSeq === held.lastSeq + 1 && run.chainBefore === held.chainAfter;
    // Before anything is waited for: the frame's bytes are good until then.
    const { records, windows, ...range } = run;
    const bytes = Buffer.from(records ?? (windows as PackedWindows).zstd);
    const isBlock = records !== undefined;
    if (held !== undefined && (!follows || (isBlock && this.#windows.payloadBytesMax > FRAME_BYTES_ENOUGH)))
      if (!(await this.flush())) return false;
    if (isBlock || this.#run === undefined) {
      this.#extend(range);
      return isBlock ? this.#addRecords(bytes, run.baseMs) : this.#addWindows(bytes);
    }
    return this.#join(range, bytes);
  }

  /** Windows to windows, in one frame if they have room: what they share is known only once they are added. */
  async #join(range: Range, zstd: Buffer): Promise<boolean> {
    const before = this.#windows.encode();
    if (!this.#addWindows(zstd)) return false;
    if (this.#windows.payloadBytesMax > FRAME_BYTES_FULL) {
      this.#windows.clear();
      if (!(await this.#put(before))) return false;
      this.#extend(range);
      return this.#addWindows(zstd);
    }
    this.#extend(range);
    return true;
  }

  #extend(range: Range): void {
    this.#run = this.#run === undefined ? range : { ...range, ...startOf(this.#run) };
  }

  #addRecords(records: Buffer, baseMs: number): boolean {
    return readRecords(records, baseMs, (reader, base) => this.#windows.addRecord(reader, base)) !== -1;
  }

  #addWindows(zstd: Buffer): boolean {
    const payload = zstdDecompressSync(zstd, { maxOutputLength: WINDOWS_BYTES_MAX });
    return readWindows(payload, (windowMs, series, sums) => this.#windows.addRow(windowMs, series, sums));
  }

  /** False: it has no room in a frame. */
  async flush(): Promise<boolean> {
    if (this.#run === undefined) return true;
    const payload = this.#windows.encode();
    this.#windows.clear();
    return this.#put(payload);
  }

  async #put(payload: Buffer): Promise<boolean> {
    const run = this.#run as Range;
    this.#run = undefined;
    const zstd = await this.#pack(payload);
    const body = windowsBody(run, { zstd, crc: crc32(payload), bytes: payload.length });
    this.bodies.push(body);
    return body.length <= FOLDED_BYTES_MAX;
  }
}

function startOf({ firstSeq, baseMs, chainBefore }: Range): Partial<Run> {
  return { firstSeq, baseMs, chainBefore };
}
