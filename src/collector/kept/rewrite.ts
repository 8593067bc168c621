/**
 * All rows written once more, behind their log; once they are on the medium, what stands before is dropped.
 *
 *   [▒▒▒▒][▒▒▒▒][▒▒▒▒]  ─▶  [▒▒▒▒][▒▒▒▒][▒▒▒▒][rows ……  ─▶  [rows …]
 *
 * Where the disk refuses it goes on from there when it is asked again: however often that is, there is one copy.
 */
import type { Timers } from '../../core/index.ts';
import type { SegmentLog } from '../../wal/index.ts';
import { framesOf } from './kept-frame.ts';
import type { KeptRows } from './kept-rows.ts';

export class Rewrite {
  readonly #log: SegmentLog;
  readonly #timers: Timers;
  readonly #frames: Iterator<Buffer, unknown>;
  /** Not in the log yet. */
  #frame: Buffer | undefined;
  /** The segment from which on all is written. */
  #from: number | undefined;
  #running: Promise<void> | undefined;

  constructor(log: SegmentLog, rows: KeptRows, timers: Timers) {
    this.#log = log;
    this.#timers = timers;
    this.#frames = allFrames(rows);
  }

  /** Resolves when it is done. Rejects with the disk's error. Who asks while it runs waits for the same. */
  run(): Promise<void> {
    this.#running ??= this.#run().finally(() => {
      this.#running = undefined;
    });
    return this.#running;
  }

  async #run(): Promise<void> {
    if (this.#from === undefined) {
      this.#log.rotate();
      this.#from = this.#log.end.segment;
    }
    for (this.#frame ??= this.#next(); this.#frame !== undefined; this.#frame = this.#next()) {
      this.#log.append(this.#frame, this.#frame.length);
      await this.#timers.yieldLoop();
    }
    await this.#log.sync();
    this.#log.dropBefore(this.#from);
  }

  #next(): Buffer | undefined {
    const { value, done } = this.#frames.next();
    return done === true ? undefined : (value as Buffer);
  }
}

function* allFrames(rows: KeptRows): Generator<Buffer> {
  for (const fleet of rows.fleets()) yield* framesOf(fleet, rows.of(fleet));
}
