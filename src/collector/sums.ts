/**
 * Sums up committed entries in windows of a second and hands the windows on, service by service. What it holds is small: the store has the
 * rest.
 *
 *   entry ─▶ Windows of its service ── each second, at ROWS rows, and when somebody asks ─▶ store
 *
 * Bounds: ROWS rows a service, SERVICES services; beyond either all of it is handed on first.
 */
import { type RecordReader, readRuns, readWindows, Windows } from '../metering/index.ts';
import type { Entry } from './entry.ts';
import { unpack } from './payload.ts';

/** 8,192 rows: handing them on holds the loop for some 5 ms. */
const ROWS = 8192;
const SERVICES = 256;
export const SECOND_MS = 1000;
/** A record may be of a time so long before it came, or after: what is beyond counts in the nearest window within. */
const PAST_MS_MAX = 400 * 86_400_000;
const FUTURE_MS_MAX = 3_600_000;

/** Takes the windows of a service, as `Windows.encode` writes them. */
export type HandOn = (service: string, payload: Buffer) => void;

export class Sums {
  readonly #handOn: HandOn;
  readonly #services = new Map<string, Windows>();
  /** Records of times that cannot be. */
  outOfTime = 0;
  records = 0;

  constructor(handOn: HandOn) {
    this.#handOn = handOn;
  }

  /** A batch; of another kind nothing is summed up. */
  add({ kind, batch, service, receivedMs, seqFrom, seqTo }: Entry): void {
    if (kind !== 'batch' || batch === undefined) return;
    const payload = unpack(batch);
    // It was looked into before it was taken, and its frame's sum is right: a defect here, which must not be silent.
    if (typeof payload === 'string') throw new Error(`an entry of the ledger cannot be read: ${payload}`);
    if (batch.isFolded) this.#addWindows(payload, service, receivedMs);
    else this.#addRuns(payload, service, receivedMs);
    this.records += seqTo - seqFrom + 1;
  }

  /** Hands on what there is. */
  flush(): void {
    for (const [service, windows] of this.#services) this.#flushOne(service, windows);
    if (this.#services.size > SERVICES / 2) this.#services.clear();
  }

  #addRuns(payload: Buffer, service: string, receivedMs: number): void {
    const windows = this.#windows(service);
    readRuns(payload, (reader, baseMs) => {
      const base = this.#timely(baseMs + reader.sinceMs, receivedMs) - reader.sinceMs;
      if (!windows.addRecord(reader, base))
        this.#again(service, windows, (fresh) => fresh.addRecord(reader as RecordReader, base));
      return true;
    });
  }

  #addWindows(payload: Buffer, service: string, receivedMs: number): void {
    const windows = this.#windows(service);
    readWindows(payload, (windowMs, series, sums) => {
      const at = this.#timely(windowMs, receivedMs);
      if (!windows.addRow(at, series, sums)) this.#again(service, windows, (fresh) => fresh.addRow(at, series, sums));
      return true;
    });
  }

  #again(service: string, windows: Windows, add: (windows: Windows) => boolean): void {
    this.#flushOne(service, windows);
    if (!add(windows)) throw new Error('a record has no room among no others');
  }

  #windows(service: string): Windows {
    const known = this.#services.get(service);
    if (known !== undefined) return known;
    if (this.#services.size >= SERVICES) {
      this.flush();
      this.#services.clear();
    }
    const windows = new Windows({ spanMs: SECOND_MS, seriesMax: ROWS, rowsMax: ROWS });
    this.#services.set(service, windows);
    return windows;
  }

  #flushOne(service: string, windows: Windows): void {
    if (windows.size === 0) return;
    this.#handOn(service, windows.encode());
    windows.clear();
  }

  #timely(wallMs: number, receivedMs: number): number {
    const timely = Math.min(Math.max(wallMs, receivedMs - PAST_MS_MAX, 0), receivedMs + FUTURE_MS_MAX);
    if (timely !== wallMs) this.outOfTime++;
    return timely;
  }
}
