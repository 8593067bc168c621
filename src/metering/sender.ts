/**
 * Tells a collector what stands in the spool: the state machine, apart from sockets and files, so that it is run whole in a simulation.
 *
 *   waiting ──▶ greeting ──▶ telling ──▶ parting ──▶ over
 *      ▲  backoff   │ Welcome    │          └ all is acked: Bye; or the time is over
 *      └────────────┴────────────┘ closed, Nack, silence       fenced: this spool says no more
 *
 * On its way at once: one batch in the compressor, and as much payload as the collector gave credit for.
 */
import type { Timer } from '../core/index.ts';
import type { Batch, Draft, FromCollector, FromSidecar, Gap } from './messages.ts';
import { comparePositions, NOWHERE, type Position } from './position.ts';
import type { BatchSize, Link, SenderOptions } from './sender-ports.ts';

/** Less than `bytes` waits for more, for `ms`. */
const SINGLE_BATCH: BatchSize = { ms: 200, bytes: 64 * 1024 };
/** Where it is folded, as long as a window is: each row is told once. */
export const FOLDED_BATCH: BatchSize = { ms: 1000, bytes: 1024 * 1024 };
const HEARTBEAT_MS = 1000;
const GREET_MS = 10_000;
/** Without a word of the collector while it owes one. It syncs within 10 ms; a slow disk takes seconds. */
const SILENCE_MS = 30_000;
const BACKOFF_MS_MIN = 100;
const BACKOFF_MS_MAX = 10_000;
/** Who stayed that long was no failure, ms. */
const STEADY_MS = 10_000;
/** For the collector to close after a Bye, ms. */
const PART_MS = 1000;

export type SenderState = 'waiting' | 'greeting' | 'telling' | 'parting' | 'over' | 'fenced';

/** What was told and is not acked. */
interface Told extends Position {
  readonly atMs: number;
}

export class Sender {
  state: SenderState = 'waiting';
  readonly #o: SenderOptions;
  #link: Link | undefined;
  readonly #told: Told[] = [];
  #credit = 0;
  #isWritable = true;
  #isPacking = false;
  /** Waits for credit. */
  #packed: Batch | undefined;
  /** What is there is told, however little it is. */
  #isDue = false;
  /** Nothing was there at the last look. */
  #isDry = false;
  #failuresInRow = 0;
  #acked: Position = NOWHERE;
  #greetedAt = 0;
  #heardAt = 0;
  #spokeAt = 0;
  #backoff: Timer | undefined;
  #tick: Timer | undefined;
  #parting: Timer | undefined;
  #onOver: ((isAllAcked: boolean) => void) | undefined;

  constructor(options: SenderOptions) {
    this.#o = options;
  }

  /** Wall ms, about: the oldest record that was told and not acked; undefined: there is none. */
  get oldestToldMs(): number | undefined {
    return this.#told[0]?.atMs;
  }

  start(): void {
    const { timers, batch = SINGLE_BATCH } = this.#o;
    this.#tick = timers.every(batch.ms, () => this.#turn());
    this.#connect();
  }

  /** Something was appended, or what was waited for is there. */
  nudge(): void {
    this.#pump();
  }

  /** Tells the rest and says so; whether all of it was acked within the time. A collector that is not there is tried once more. */
  part(graceMs: number): Promise<boolean> {
    if (this.state === 'over' || this.state === 'fenced') return Promise.resolve(false);
    const over = new Promise<boolean>((resolve) => {
      this.#onOver = resolve;
    });
    this.#parting = this.#o.timers.after(graceMs, () => this.#end(false));
    if (this.state === 'waiting') {
      this.#backoff?.cancel();
      this.#connect();
    } else if (this.state === 'telling') this.#beginParting();
    return over;
  }

  /** At once. */
  close(): void {
    this.#end(false);
  }

  #connect(): void {
    this.state = 'greeting';
    this.#greetedAt = this.#heardAt = this.#o.clock.now();
    this.#isWritable = true;
    this.#o.counts.connects++;
    let link: Link | undefined;
    const isOld = (): boolean => link === undefined || link !== this.#link;
    link = this.#link = this.#o.connect({
      onMessage: (message) => {
        if (!isOld()) this.#hear(message);
      },
      onDrain: () => {
        if (isOld()) return;
        this.#isWritable = true;
        this.#pump();
      },
      onClose: (why) => {
        if (!isOld()) this.#fail(why);
      },
    });
    this.#say(this.#o.hello);
  }

  #hear(message: FromCollector): void {
    this.#heardAt = this.#o.clock.now();
    switch (message.kind) {
      case 'welcome':
        return this.#welcomed(message, message.chain, message.creditBytes);
      case 'ack':
        return this.#hearAck(message);
      case 'credit':
        this.#credit += message.bytes;
        return this.#pump();
      case 'nack':
        return this.#fail(`refused: ${message.reason}`);
      case 'fence':
        return this.#fence(message.reason);
    }
  }

  #welcomed({ epoch, seq }: Position, chain: number, credit: number): void {
    if (this.state !== 'greeting') return this.#fail('welcomed twice');
    const { source } = this.#o;
    const position = { epoch, seq };
    const isKnown = this.#tryRead(() => source.seek(position, chain));
    if (isKnown === undefined) return;
    if (!isKnown.value) return this.#fence('the collector has other records under these numbers');
    this.state = 'telling';
    this.#acked = position;
    this.#told.length = 0;
    this.#credit = credit;
    this.#isDry = false;
    this.#isDue = true;
    source.acked(position);
    this.#o.onWelcome();
    if (this.#onOver !== undefined) this.#beginParting();
    else this.#pump();
  }

  #hearAck({ epoch, seq }: Position): void {
    const position = { epoch, seq };
    const last = this.#told.at(-1) ?? this.#acked;
    if (comparePositions(position, this.#acked) < 0 || comparePositions(position, last) > 0)
      return this.#fail('acked what was not told');
    while (this.#told[0] !== undefined && comparePositions(this.#told[0], position) <= 0) this.#told.shift();
    this.#acked = position;
    this.#failuresInRow = 0;
    this.#o.source.acked(position);
    this.#pump();
  }

  /**
   * Tells what is due, and then as long as there is enough for a batch. `isTurn`: what is more than any credit may go, once nothing else is
   * on its way.
   */
  #pump(isTurn = false): void {
    while (this.#mayTell()) {
      const packed = this.#packed;
      if (packed === undefined) {
        if (!this.#isEnough() || !this.#read()) break;
      } else if (packed.payload.length <= this.#credit || (isTurn && this.#told.length === 0)) this.#tell(packed);
      else return;
    }
    if (this.state === 'parting' && this.#isDry && this.#told.length === 0) this.#bye();
  }

  #isEnough(): boolean {
    const { source, batch = SINGLE_BATCH } = this.#o;
    return this.#isDue || this.state === 'parting' || source.unreadBytes >= batch.bytes;
  }

  #mayTell(): boolean {
    return (this.state === 'telling' || this.state === 'parting') && !this.#isPacking && this.#isWritable;
  }

  /** False: there is nothing to tell, or not now. */
  #read(): boolean {
    const read = this.#tryRead(() => this.#o.source.next());
    if (read === undefined) return false;
    const next = read.value;
    this.#isDry = next === undefined;
    if (next === 'wait') return false;
    if (next === undefined || (next !== 'forked' && next.kind === 'batch')) this.#isDue = false;
    if (next === undefined) return false;
    if (next === 'forked') this.#fence('the records here do not follow those the collector has');
    else if (next.kind === 'gap') this.#tellGap(next);
    else if (next.isPacked) this.#packed = batchOf(next, next.payload);
    else this.#pack(next);
    return next !== 'forked';
  }

  /** Undefined: the disk does not give it now. */
  #tryRead<T>(read: () => T): { readonly value: T } | undefined {
    try {
      return { value: read() };
    } catch (cause) {
      this.#fail(`the spool cannot be read: ${(cause as Error).message}`);
      return undefined;
    }
  }

  #pack(draft: Draft): void {
    const link = this.#link;
    this.#isPacking = true;
    this.#o.pack(draft.payload, (payload) => {
      this.#isPacking = false;
      // Of a connection that is over: the next one begins where the collector then stands.
      if (link === this.#link) {
        if (payload === undefined) return this.#fail('a batch could not be compressed');
        this.#packed = batchOf(draft, payload);
      }
      this.#pump();
    });
  }

  #tell(batch: Batch): void {
    this.#packed = undefined;
    this.#o.counts.batches++;
    this.#o.counts.bytesRaw += batch.payloadBytes;
    this.#o.counts.bytesSent += batch.payload.length;
    this.#credit -= batch.payload.length;
    this.#told.push({ epoch: batch.epoch, seq: batch.seqTo, atMs: batch.watermarkMs });
    this.#say(batch);
  }

  #tellGap(gap: Gap): void {
    this.#o.counts.gaps[gap.reason] += gap.seqTo - gap.seqFrom + 1;
    this.#told.push({ epoch: gap.epoch, seq: gap.seqTo, atMs: gap.watermarkMs });
    this.#say(gap);
  }

  #say(message: FromSidecar): void {
    this.#spokeAt = this.#o.clock.now();
    this.#isWritable = (this.#link as Link).send(message);
  }

  #turn(): void {
    const now = this.#o.clock.now();
    if (this.state === 'greeting' && now - this.#greetedAt >= GREET_MS) return this.#fail('no welcome');
    if (this.#told.length > 0 && this.#link !== undefined && now - this.#heardAt >= SILENCE_MS)
      return this.#fail('no acknowledgement');
    this.#isDue = true;
    this.#pump(true);
    const isIdle = this.#isDry && this.#told.length === 0 && this.#isWritable;
    if (this.state !== 'telling' || !isIdle || now - this.#spokeAt < HEARTBEAT_MS) return;
    const { source } = this.#o;
    this.#say({ kind: 'heartbeat', watermarkMs: source.watermarkMs(), spoolBytes: source.spoolBytes });
  }

  #beginParting(): void {
    this.state = 'parting';
    this.#pump();
  }

  #bye(): void {
    const link = this.#link as Link;
    this.#say({ kind: 'bye', ...this.#acked });
    link.end();
    // It closes when it has read it.
    this.#parting?.cancel();
    this.#parting = this.#o.timers.after(PART_MS, () => this.#end(true));
    this.state = 'over';
  }

  #fail(why: string): void {
    // After a Bye that is how it ends.
    if (this.state === 'over') return this.#end(true);
    const now = this.#o.clock.now();
    this.#o.counts.failures++;
    if (this.state !== 'greeting' && now - this.#greetedAt >= STEADY_MS) this.#failuresInRow = 0;
    this.#drop();
    this.#o.onFailure(why);
    if (this.#onOver !== undefined) return this.#end(false);
    this.state = 'waiting';
    const delay = Math.min(BACKOFF_MS_MAX, BACKOFF_MS_MIN * 2 ** this.#failuresInRow++);
    this.#backoff = this.#o.timers.after(delay * (0.5 + this.#o.random.float() / 2), () => this.#connect());
  }

  #fence(reason: string): void {
    this.#o.counts.fences++;
    this.#drop();
    this.#stopTimers();
    this.state = 'fenced';
    this.#onOver?.(false);
    this.#o.onFence(reason);
  }

  #end(isAllAcked: boolean): void {
    this.state = 'over';
    this.#drop();
    this.#stopTimers();
    this.#onOver?.(isAllAcked);
    this.#onOver = undefined;
  }

  #drop(): void {
    this.#link?.cut();
    this.#link = undefined;
    this.#packed = undefined;
    this.#told.length = 0;
  }

  #stopTimers(): void {
    this.#tick?.cancel();
    this.#backoff?.cancel();
    this.#parting?.cancel();
  }
}

function batchOf({ isPacked: _, ...draft }: Draft, payload: Buffer): Batch {
  return { ...draft, payload };
}
