/**
 * Reads a spool in order, from where a collector stands on, as batches and gaps.
 *
 *   [block][block][block] ▒▒▒▒▒ [block][windows][block] …
 *   └──── batch ────────┘└ gap ┘└batch┘└ batch ┘└ …
 *
 * Before the first batch out of a segment it is marked, and the mark is synced: from then on the segment is not folded any more, so the
 * numbers at which batches end stay numbers at which frames end.
 */
import { crc32 } from 'node:zlib';
import { type Place, READ_BYTES } from '../wal/index.ts';
import { chainStart, type Run, readFrame } from './block.ts';
import type { Draft, Gap, GapReason } from './messages.ts';
import type { Part } from './part.ts';
import { comparePositions, NOWHERE, type Position } from './position.ts';
import { RunsWriter, readRecords } from './runs.ts';
import type { Spool } from './spool.ts';
import { Windows } from './windows.ts';

/** Of the payload of a batch, before it is compressed. */
const BATCH_BYTES_MAX = 256 * 1024;
/** The same where it is folded: what is folded at once shares its rows. */
const FOLD_BYTES_MAX = 1024 * 1024;
const FOLD_SPAN_MS = 1000;
/** More than 1 MiB of records can have. */
const FOLD_ROWS_MAX = 2 ** 18;

/** `wait`: the mark of a segment is being synced; `onReady` says when. `forked`: what stands here does not follow what was told. */
export type Next = Draft | Gap | 'wait' | 'forked' | undefined;

interface Start {
  readonly part: Part;
  readonly run: Run;
  readonly next: Place;
}

export class SpoolReader {
  readonly #spool: Spool;
  readonly #isFolding: boolean;
  readonly #onReady: () => void;
  readonly #runs = new RunsWriter(BATCH_BYTES_MAX + 128 * 1024);
  /** One for all reads: V8 counts buffers against the heap. What was read is used before the next. */
  readonly #scratch = Buffer.allocUnsafeSlow(READ_BYTES);
  #position: Position = NOWHERE;
  #chain = 0;
  #place: Place = { segment: 0, offset: 0 };
  #isMarking = false;

  constructor(spool: Spool, isFolding: boolean, onReady: () => void) {
    this.#spool = spool;
    this.#isFolding = isFolding;
    this.#onReady = onReady;
  }

  /** Goes on behind a position. False: its records, or their chain, are not those that stand here. */
  seek(position: Position, chain: number): boolean {
    const { head, lastSeq, parts } = this.#spool;
    if (comparePositions(position, { epoch: head.epoch, seq: lastSeq }) > 0) return false;
    this.#position = position;
    this.#chain = chain;
    const part = parts.find(
      ({ epoch, lastSeq }) => lastSeq > 0 && comparePositions({ epoch, seq: lastSeq }, position) >= 0,
    );
    this.#place = part === undefined ? this.#spool.end : { segment: part.number, offset: 0 };
    if (part?.epoch !== position.epoch || part.firstSeq > position.seq) return true;
    return this.#pass(position, chain);
  }

  /** Passes over what was told of a segment. */
  #pass(position: Position, chain: number): boolean {
    for (const { segment, body, sum, next } of this.#spool.frames(this.#place, this.#scratch)) {
      const run = readFrame(body, sum);
      const part = this.#spool.part(segment);
      if (typeof run !== 'object') continue;
      if (part?.epoch !== position.epoch || run.firstSeq > position.seq) return true;
      // It was told as single records, and its mark was refused, before it was folded.
      if (run.lastSeq > position.seq) return run.windows !== undefined;
      this.#place = { segment, offset: next };
      if (run.lastSeq === position.seq) return run.chainAfter === chain;
    }
    return true;
  }

  /** Bytes that are not read yet. */
  get unreadBytes(): number {
    return this.#spool.bytesAfter(this.#place);
  }

  /** Wall ms: base of the first that is not read yet; undefined: all is. */
  get unreadSinceMs(): number | undefined {
    return this.#first()?.run.baseMs;
  }

  /** What is to be told next; undefined: nothing is there. */
  next(): Next {
    if (this.#isMarking) return 'wait';
    const start = this.#first();
    if (start === undefined) return undefined;
    const { part, run } = start;
    if (!part.isMarked) return this.#mark(part);
    const isSameEpoch = part.epoch === this.#position.epoch;
    const seqFrom = isSameEpoch ? this.#position.seq + 1 : 1;
    const chain = isSameEpoch ? this.#chain : chainStart(part);
    if (!isSameEpoch && comparePositions(part.before, this.#position) > 0) return this.#ended(start);
    if (run.firstSeq > seqFrom) return this.#missing(start, seqFrom, chain);
    if (run.firstSeq < seqFrom) return this.#restOf(start, seqFrom, chain);
    if (run.chainBefore !== chain) return 'forked';
    if (run.windows !== undefined) return this.#told(start, run, { ...run.windows, payload: run.windows.zstd }, true);
    return (this.#isFolding ? this.#folded(start) : undefined) ?? this.#single(start);
  }

  /** The first run that was not told. */
  #first(): Start | undefined {
    for (const { segment, body, sum, next } of this.#spool.frames(this.#place, this.#scratch)) {
      const run = readFrame(body, sum);
      const part = this.#spool.part(segment);
      if (part !== undefined && typeof run === 'object') {
        if (comparePositions({ epoch: part.epoch, seq: run.lastSeq }, this.#position) > 0)
          return { part, run, next: { segment, offset: next } };
      }
      this.#place = { segment, offset: next };
    }
    return undefined;
  }

  #mark(part: Part): 'wait' {
    this.#isMarking = true;
    const done = (): void => {
      this.#isMarking = false;
      this.#onReady();
    };
    try {
      this.#spool.mark(part);
    } catch {
      // A full disk must not keep what is on it from being told. Were the process to end now, and the segment to be folded by the next
      // life, the collector's position could be within a fold: the rest of that one is a gap then, and nothing is counted twice.
    }
    this.#spool.sync().then(done, done);
    return 'wait';
  }

  /** What the epoch before had behind the position, and nobody finds any more. */
  #ended({ part, run }: Start): Gap {
    const { epoch, seq, chain } = part.before;
    const isSameEpoch = epoch === this.#position.epoch;
    const isOldest = part === this.#spool.parts.find(({ lastSeq }) => lastSeq > 0);
    const seqFrom = isSameEpoch ? this.#position.seq + 1 : 1;
    // Of an epoch that is gone nobody knows how its chain began.
    const chainBefore = isSameEpoch ? this.#chain : 0;
    const reason = reasonOf(isSameEpoch && chainBefore === chain, isOldest);
    return this.#gap({ epoch, seqFrom, seqTo: seq, chainBefore, chainAfter: chain, watermarkMs: run.baseMs, reason });
  }

  #missing({ part, run }: Start, seqFrom: number, chainBefore: number): Gap {
    const oldest = this.#spool.parts.find(({ lastSeq }) => lastSeq > 0);
    const { epoch, firstSeq } = part;
    const { chainBefore: chainAfter, baseMs: watermarkMs } = run;
    const reason = reasonOf(chainAfter === chainBefore, part === oldest && run.firstSeq === firstSeq);
    return this.#gap({ epoch, seqFrom, seqTo: run.firstSeq - 1, chainBefore, chainAfter, watermarkMs, reason });
  }

  /** Windows of which the collector has the first records as they were: what of them is the rest nobody can say. */
  #restOf({ part: { epoch }, run, next }: Start, seqFrom: number, chainBefore: number): Gap {
    this.#place = next;
    const { lastSeq: seqTo, chainAfter, lastMs: watermarkMs } = run;
    return this.#gap({ epoch, seqFrom, seqTo, chainBefore, chainAfter, watermarkMs, reason: 'full' });
  }

  /** What comes next stands behind it. */
  #gap(gap: Omit<Gap, 'kind'>): Gap {
    this.#position = { epoch: gap.epoch, seq: gap.seqTo };
    this.#chain = gap.chainAfter;
    return { kind: 'gap', ...gap };
  }

  /** Blocks as they stand. */
  #single(start: Start): Draft {
    this.#runs.begin();
    let bytes = 0;
    const last = this.#join(start, (run) => {
      const records = run.records as Buffer;
      bytes += records.length;
      return (bytes === records.length || bytes <= BATCH_BYTES_MAX) && this.#runs.add(run, records);
    });
    return this.#told(last, start.run, plain(this.#runs.payload), false);
  }

  /** Blocks summed up by second; undefined: they have no room, or are broken. */
  #folded(start: Start): Draft | undefined {
    const windows = new Windows({ spanMs: FOLD_SPAN_MS, rowsMax: FOLD_ROWS_MAX, seriesMax: FOLD_ROWS_MAX });
    let bytes = 0;
    let isWhole = true;
    const last = this.#join(start, ({ records, baseMs }) => {
      bytes += (records as Buffer).length;
      if (bytes > FOLD_BYTES_MAX) return false;
      isWhole = readRecords(records as Buffer, baseMs, (reader, base) => windows.addRecord(reader, base)) !== -1;
      return isWhole;
    });
    return isWhole ? this.#told(last, start.run, plain(windows.encode()), true) : undefined;
  }

  /** Hands blocks to `add` as long as they follow one another and it takes them; the last that it took. It takes the first. */
  #join(start: Start, add: (run: Run) => boolean): Start {
    const { part } = start;
    let last = start;
    let isFirst = true;
    for (const { segment, body, sum, next } of this.#spool.frames(this.#place, this.#scratch)) {
      const run = readFrame(body, sum);
      if (typeof run !== 'object') continue;
      // Each segment is marked by itself.
      if (segment !== part.number || run.records === undefined) break;
      if (!isFirst && (run.firstSeq !== last.run.lastSeq + 1 || run.chainBefore !== last.run.chainAfter)) break;
      if (!add(run)) break;
      isFirst = false;
      last = { part, run: { ...run, records: undefined }, next: { segment, offset: next } };
    }
    return last;
  }

  #told(
    { part, run, next }: Start,
    { firstSeq, chainBefore }: Run,
    { payload, crc, bytes }: { readonly payload: Buffer; readonly crc: number; readonly bytes: number },
    isFolded: boolean,
  ): Draft {
    this.#place = next;
    this.#position = { epoch: part.epoch, seq: run.lastSeq };
    this.#chain = run.chainAfter;
    return {
      kind: 'batch',
      epoch: part.epoch,
      seqFrom: firstSeq,
      seqTo: run.lastSeq,
      chainBefore,
      chainAfter: run.chainAfter,
      watermarkMs: run.lastMs,
      isFolded,
      payload: run.windows === undefined ? payload : Buffer.from(payload),
      isPacked: run.windows !== undefined,
      crc,
      payloadBytes: bytes,
    };
  }
}

function plain(payload: Buffer): { payload: Buffer; crc: number; bytes: number } {
  return { payload, crc: crc32(payload), bytes: payload.length };
}

/** `isChained`: nothing was ever stored between. `isOldest`: there is nothing in the spool before. */
function reasonOf(isChained: boolean, isOldest: boolean): GapReason {
  if (isChained) return 'full';
  return isOldest ? 'dropped' : 'corrupt';
}
