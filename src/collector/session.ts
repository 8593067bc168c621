/**
 * What one sidecar says on one stream, and what it is told. It knows nothing of gRPC: whoever has the stream gives it what came, and a
 * line by which it answers.
 *
 *   new ── Hello ──▶ waiting ── nothing of the spool is pending ──▶ open ── Bye ──▶ ended
 *    └──────────────────┴────────── refused, fenced, cut ────────────┴────────────────┘
 */
import type { Clock } from '../core/index.ts';
import type { Batch, Bye, CollectorSays, FromSidecar, Gap, Hello } from '../metering/index.ts';
import { PROTOCOL_VERSION } from '../metering/index.ts';
import type { CreditLine, CreditPool } from './credits.ts';
import { type Entry, INSTANCE_MAX, LIFE_UNKNOWN, type Payload, REASON_MAX, SERVICE_MAX } from './entry.ts';
import { holds, unpack, ZSTD_BYTES_MAX } from './payload.ts';
import { chainStart, judge, type Spool, Spools } from './spools.ts';

/** The stream, as the session sees it. After `end` nothing is sent any more. */
export interface Line {
  send(message: CollectorSays): void;
  end(): void;
}

/** Where entries go: they stand in the ledger when `committed` of their session is called. */
export interface Taking {
  /** Why nothing is taken now. */
  readonly trouble: string | undefined;
  /** Throws when the ledger refuses; then nothing stands. */
  take(spool: Spool, entry: Entry, session: Session | undefined): void;
  /** Resolves when nothing of the spool is pending. */
  settled(spool: Spool): Promise<void>;
}

/** What went wrong on the streams, for the metrics. */
export type RefusalKind = 'malformed' | 'elsewhere' | 'credit' | 'busy' | 'ledger' | 'fenced' | 'replaced';

export interface SessionWorld {
  readonly clock: Clock;
  readonly spools: Spools;
  readonly pool: CreditPool;
  readonly intake: Taking;
  /** Sessions by spool id: one a spool. */
  readonly sessions: Map<string, Session>;
  readonly onRefusal: (kind: RefusalKind, spool: Spool | undefined, reason: string) => void;
}

/** 2^48: an epoch or a number beyond it is nobody's. */
const POSITION_MAX = 2 ** 48;
/** Of credit, for a gap on its way: more than its entry takes, with all that holds it. */
const GAP_BYTES = 1024;
/** Printable ASCII: names stand in tables, labels and files. */
const NAME = /^[\x21-\x7e]+$/;
const WORDS = /^[\x20-\x7e]*$/;

export class Session {
  readonly #world: SessionWorld;
  readonly #line: Line;
  #state: 'new' | 'waiting' | 'open' | 'ended' = 'new';
  #spool: Spool | undefined;
  #credit: CreditLine | undefined;
  #epoch = 0;
  #life = LIFE_UNKNOWN;
  #chain = 0;
  /** On their way to the medium. */
  readonly #gaps: Entry[] = [];

  constructor(world: SessionWorld, line: Line) {
    this.#world = world;
    this.#line = line;
  }

  get isEnded(): boolean {
    return this.#state === 'ended';
  }

  /** A message came. */
  receive({ message }: FromSidecar): void {
    if (this.#state === 'ended') return;
    if (this.#state === 'new') {
      if (message.case === 'hello') this.#greet(message.value);
      else this.#refuse('malformed', 'the first message of a stream is Hello');
    } else if (this.#state === 'waiting') this.#refuse('malformed', 'nothing is said before Welcome');
    else if (message.case === 'batch') this.#takeBatch(message.value);
    else if (message.case === 'gap') this.#takeGap(message.value);
    else if (message.case === 'heartbeat')
      this.#beat(Number(message.value.watermarkMs), Number(message.value.spoolBytes));
    else if (message.case === 'bye') this.#bye(message.value);
    else this.#refuse('malformed', `a message that this version does not know, or a second Hello`);
  }

  /** Hello had its time. */
  hurry(): void {
    if (this.#state === 'new') this.#refuse('malformed', 'the first message of a stream is Hello, and it did not come');
  }

  /** Entries of it are on the medium and summed up, the last one of them this one. */
  committed({ kind, epoch, seqTo }: Entry): void {
    while (this.#gaps[0] !== undefined && isUpTo(this.#gaps[0], epoch, seqTo)) {
      this.#gaps.shift();
      this.#credit?.discharge(GAP_BYTES);
    }
    if (this.#state === 'ended') return;
    this.#line.send({ case: 'ack', value: { epoch: BigInt(epoch), seq: BigInt(seqTo) } });
    if (kind === 'bye') this.#end();
  }

  /** So many bytes of payload are done with. */
  release(bytes: number): void {
    // Who left is promised nothing.
    const more = (this.#credit as CreditLine).release(bytes);
    if (more > 0) this.#line.send({ case: 'credit', value: { bytes: BigInt(more) } });
  }

  /** The ledger takes nothing: the sidecar keeps what it has, and asks again. */
  stall(reason: string): void {
    if (this.#state !== 'new') this.#refuse('ledger', reason);
  }

  /** The stream is gone. */
  close(): void {
    this.#state = 'ended';
    this.#credit?.leave();
    const { sessions } = this.#world;
    if (this.#spool !== undefined && sessions.get(this.#spool.id) === this) sessions.delete(this.#spool.id);
  }

  #greet(hello: Hello): void {
    const { spools, intake, sessions, clock } = this.#world;
    const wrong = mistakeIn(hello);
    if (wrong !== undefined) return this.#refuse('malformed', wrong);
    if (intake.trouble !== undefined) return this.#refuse('ledger', intake.trouble);
    const id = hexOf(hello.spoolId);
    this.#epoch = Number(hello.epoch);
    this.#life = hexOf(hello.life);
    this.#chain = chainStart(id, this.#life);
    // Of one that told nothing yet, only its stream knows.
    const row = spools.get(id);
    const current = sessions.get(id);
    const known = row ?? (current === undefined ? undefined : current.#spool);
    const fence = known === undefined ? undefined : this.#fenceBy(known);
    // Before the one that may be right is cut off.
    if (fence !== undefined) return this.#fence(fence, known);
    const table = row === undefined ? new Spools(1) : spools;
    const spool = known ?? (table.meet(id, hello.service, hello.instance, clock.wallMs()) as Spool);
    Object.assign(spool, { service: hello.service, instance: hello.instance });
    current?.replace();
    sessions.set(id, this);
    this.#spool = spool;
    spool.newest = { epoch: this.#epoch, life: this.#life };
    this.#state = 'waiting';
    void intake.settled(spool).then(() => this.#welcome(spool));
  }

  /** Another stream of the spool began: this one is a connection that nobody holds any more. */
  replace(): void {
    this.#refuse('replaced', 'another stream of this spool began');
  }

  #fenceBy({ newest, taken }: Spool): string | undefined {
    const epoch = Math.max(newest.epoch, taken.epoch);
    if (this.#epoch < epoch) return `epoch ${this.#epoch} is over: the spool was opened as ${epoch} elsewhere`;
    const life = newest.epoch === this.#epoch ? newest.life : LIFE_UNKNOWN;
    if (life === LIFE_UNKNOWN || life === this.#life) return undefined;
    return `epoch ${this.#epoch} is another's: the spool was copied`;
  }

  #welcome(spool: Spool): void {
    if (this.#state !== 'waiting') return;
    if (this.#world.intake.trouble !== undefined) return this.#refuse('ledger', this.#world.intake.trouble);
    this.#credit = this.#world.pool.join();
    if (this.#credit === undefined) return this.#refuse('busy', 'there is no room for another stream');
    const { epoch, seq, chain } = spool.synced;
    this.#state = 'open';
    spool.state = 'live';
    this.#line.send({
      case: 'welcome',
      value: { epoch: BigInt(epoch), seq: BigInt(seq), chain, creditBytes: BigInt(this.#credit.promised) },
    });
  }

  #takeBatch(batch: Batch): void {
    const { length } = batch.payload;
    if (length > ZSTD_BYTES_MAX) return this.#refuse('malformed', `a payload has at most ${ZSTD_BYTES_MAX} bytes`);
    const payload: Payload = {
      isFolded: batch.isFolded,
      crc: batch.crc,
      bytes: batch.payloadBytes,
      zstd: batch.payload,
    };
    const entry = this.#entry('batch', batch, { batch: payload });
    if (!this.#fits(entry)) return;
    const unpacked = unpack(payload);
    if (typeof unpacked === 'string') return this.#refuse('malformed', unpacked);
    if (!holds(unpacked, batch.isFolded, entry.seqTo - entry.seqFrom + 1))
      return this.#refuse('malformed', 'the payload does not hold the records that the batch is of');
    if (!(this.#credit as CreditLine).spend(length))
      return this.#refuse('credit', `${length} bytes are more than was allowed`);
    // What the ledger refuses is not held.
    if (!this.#enter() || !this.#take(entry)) this.#credit?.release(length);
  }

  #takeGap(gap: Gap): void {
    const reason = gap.reason.slice(0, REASON_MAX);
    if (!WORDS.test(reason)) return this.#refuse('malformed', 'the reason of a gap is a few plain words');
    const entry = this.#entry('gap', gap, { reason });
    if (!this.#fits(entry)) return;
    const credit = this.#credit as CreditLine;
    if (!credit.charge(GAP_BYTES)) return this.#refuse('credit', 'many gaps are on their way');
    if (this.#enter() && this.#take(entry)) this.#gaps.push(entry);
    else credit.discharge(GAP_BYTES);
  }

  /** A name costs a stranger nothing: a spool has a row once it told something. False: there is no room for one. */
  #enter(): boolean {
    const { spools } = this.#world;
    const spool = this.#spool as Spool;
    if (spools.get(spool.id) === spool) return true;
    const row = spools.meet(spool.id, spool.service, spool.instance, spool.firstMs);
    if (row === undefined) this.#refuse('busy', 'the table of spools is full');
    else this.#spool = Object.assign(row, spool);
    return row !== undefined;
  }

  #entry(kind: 'batch' | 'gap', told: Batch | Gap, more: Pick<Entry, 'batch' | 'reason'>): Entry {
    const { id, service, instance } = this.#spool as Spool;
    const epoch = Number(told.epoch);
    return {
      kind,
      receivedMs: this.#world.clock.wallMs(),
      spoolId: id,
      service,
      instance,
      epoch,
      life: epoch === this.#epoch ? this.#life : LIFE_UNKNOWN,
      seqFrom: Number(told.seqFrom),
      seqTo: Number(told.seqTo),
      chainBefore: told.chainBefore,
      chainAfter: told.chainAfter,
      watermarkMs: Number(told.watermarkMs),
      ...more,
    };
  }

  /** Whether it is the very next; else the stream is at its end. */
  #fits(entry: Entry): boolean {
    const spool = this.#spool as Spool;
    const { epoch, seqFrom, seqTo, watermarkMs } = entry;
    if (epoch > POSITION_MAX || seqTo > POSITION_MAX || watermarkMs > POSITION_MAX) {
      this.#refuse('malformed', 'a position or a watermark is beyond all bounds');
      return false;
    }
    const verdict = judge(spool.taken, entry, { epoch: this.#epoch, chain: this.#chain });
    if (verdict === 'next') return true;
    const place = `${epoch}:${seqFrom} does not follow ${spool.taken.epoch}:${spool.taken.seq}`;
    if (verdict === 'foreign') this.#fence(`${place} in the same history: the spool was copied or restored`, spool);
    else this.#refuse('elsewhere', place);
    return false;
  }

  #take(entry: Entry): boolean {
    // A clock that is ahead does not make windows whole before their time.
    const watermarkMs = Math.min(entry.watermarkMs, entry.receivedMs);
    try {
      this.#world.intake.take(this.#spool as Spool, { ...entry, watermarkMs }, this);
      return true;
    } catch (cause) {
      this.#refuse('ledger', (cause as Error).message);
      return false;
    }
  }

  #beat(watermarkMs: number, spoolBytes: number): void {
    const spool = this.#spool as Spool;
    if (watermarkMs > POSITION_MAX) return this.#refuse('malformed', 'a watermark is beyond all bounds');
    spool.lastMs = this.#world.clock.wallMs();
    spool.spoolBytes = spoolBytes;
    spool.watermarkTakenMs = Math.max(spool.watermarkTakenMs, Math.min(watermarkMs, spool.lastMs));
    // Of what is on its way to the medium nothing is said yet.
    if (spool.pending === 0) spool.watermarkMs = spool.watermarkTakenMs;
  }

  /** All told: no window waits for it any more. Something left: the stream ends, and the windows wait. */
  #bye(bye: Bye): void {
    const { id, service, instance, taken, watermarkTakenMs } = this.#spool as Spool;
    const epoch = Number(bye.epoch);
    const seq = Number(bye.seq);
    const entry: Entry = {
      kind: 'bye',
      receivedMs: this.#world.clock.wallMs(),
      spoolId: id,
      service,
      instance,
      epoch,
      life: this.#life,
      seqFrom: seq,
      seqTo: seq,
      chainBefore: taken.chain,
      chainAfter: taken.chain,
      watermarkMs: watermarkTakenMs,
    };
    // Of one that told nothing there is nothing to end.
    const isKnown = this.#world.spools.get(id) !== undefined;
    if (isKnown && epoch <= this.#epoch && judge(taken, entry) === 'next') this.#take(entry);
    else this.#end();
  }

  #refuse(kind: RefusalKind, reason: string): void {
    if (this.#state === 'ended') return;
    this.#world.onRefusal(kind, this.#spool, reason);
    this.#line.send({ case: 'nack', value: { reason } });
    this.#end();
  }

  #fence(reason: string, spool: Spool | undefined): void {
    this.#world.onRefusal('fenced', spool, reason);
    this.#line.send({ case: 'fence', value: { reason } });
    this.#end();
  }

  #end(): void {
    this.close();
    this.#line.end();
  }
}

function mistakeIn({ version, spoolId, epoch, life, service, instance }: Hello): string | undefined {
  if (version < 1 || version > PROTOCOL_VERSION)
    return `this collector understands versions 1 to ${PROTOCOL_VERSION}, not ${version}: a newer sidecar needs a newer collector`;
  if (spoolId.length !== 16 || life.length !== 8) return 'a spool id has 16 bytes and a life 8';
  if (epoch < 1n || epoch > BigInt(POSITION_MAX)) return 'an epoch is counted from 1';
  if (service.length > SERVICE_MAX || !NAME.test(service))
    return `a service has a name of 1 to ${SERVICE_MAX} plain letters`;
  if (instance.length > INSTANCE_MAX || !WORDS.test(instance))
    return `an instance has at most ${INSTANCE_MAX} plain letters`;
  return undefined;
}

function isUpTo(entry: Entry, epoch: number, seq: number): boolean {
  return entry.epoch < epoch || (entry.epoch === epoch && entry.seqTo <= seq);
}

function hexOf(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('hex');
}
