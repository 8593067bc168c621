/**
 * Full state over a stream: at the start, from time to time with anybody, and at the end.
 *
 *   we   ── pull: members, digest ───────────────▶ peer
 *        ◀─ state: members, digest, what we lack ──         again while there is more
 *        ── push: what it lacks ─────────────────▶          again while there is more
 */
import { type Clock, type Reader, Writer } from '../core/index.ts';
import { readRecord } from './belief.ts';
import type { Counts } from './counts.ts';
import type { Lane } from './delegate.ts';
import { readDeltas, writeDelta } from './deltas.ts';
import type { Membership } from './membership.ts';
import { KIND } from './messages.ts';
import type { Peer, Roster } from './roster.ts';
import { writeBelief } from './rumours.ts';
import { STREAM_PAYLOAD_BYTES_MAX } from './seal.ts';

/** Requests of one sync: 64 MiB of rows each way. What is missing then comes with the next one. */
const ROUNDS_MAX = 64;
/** Left for the number of deltas of the lane that comes next. */
const COUNT_BYTES = 4;

/** Asks and opens the answer; undefined: none came, or none that opens. */
export type Ask = (
  address: string,
  payload: Uint8Array,
  done: (answer: Reader | undefined, incarnation: string) => void,
) => void;

/** Whether it went through, and whose incarnation answered. */
export type Synced = (isDone: boolean, incarnation: string) => void;

export interface SyncOptions {
  readonly clock: Clock;
  readonly roster: Roster;
  readonly membership: Membership;
  /** The hot one first. */
  readonly lanes: readonly Lane[];
  readonly counts: Counts;
  readonly ask: Ask;
  readonly onAdvanced: (lane: number, origin: Peer) => void;
}

/** What is held of an origin's rows of a lane. */
interface Entry {
  readonly lane: number;
  readonly origin: Peer;
  after: number;
}

export class Sync {
  readonly #options: SyncOptions;

  constructor(options: SyncOptions) {
    this.#options = options;
  }

  /** With whoever is at the address. */
  run(address: string, done: Synced): void {
    this.#pull(address, ROUNDS_MAX, done);
  }

  /** The answer to a request that was opened; undefined: it was malformed, or nothing is to be said. */
  answer(kind: number, reader: Reader, incarnation: string): Uint8Array | undefined {
    if (kind === KIND.pull) return this.#state(reader, incarnation);
    if (kind === KIND.push) {
      this.#takeDeltas(reader);
      return reader.isBroken ? undefined : Uint8Array.of(KIND.yes);
    }
    const isForUs = kind === KIND.knock && reader.hex(8) === this.#options.roster.self.incarnation;
    return isForUs && !reader.isBroken ? Uint8Array.of(KIND.yes) : undefined;
  }

  #pull(address: string, rounds: number, done: Synced): void {
    const writer = begin(KIND.pull);
    this.#writeMembers(writer);
    this.#writeDigest(writer);
    this.#options.ask(address, finish(writer), (reader, incarnation) => {
      if (reader === undefined || reader.u8() !== KIND.state) return done(false, incarnation);
      const hasMore = reader.u8() === 1;
      this.#takeMembers(reader, incarnation);
      const digest = this.#readDigest(reader);
      const isFurther = this.#takeDeltas(reader);
      if (reader.isBroken) return done(false, incarnation);
      if (hasMore && isFurther && rounds > 1) return this.#pull(address, rounds - 1, done);
      this.#push(address, this.#lacking(digest), rounds, (isDone) => done(isDone, incarnation));
    });
  }

  #push(address: string, lacks: Entry[], rounds: number, done: (isDone: boolean) => void): void {
    if (lacks.length === 0 || rounds === 0) return done(true);
    const writer = begin(KIND.push);
    const rest = this.#writeDeltas(writer, lacks);
    this.#options.ask(address, finish(writer), (reader) => {
      if (reader === undefined || reader.u8() !== KIND.yes) return done(false);
      this.#push(address, rest, rounds - 1, done);
    });
  }

  #state(reader: Reader, incarnation: string): Uint8Array | undefined {
    this.#takeMembers(reader, incarnation);
    const digest = this.#readDigest(reader);
    if (reader.isBroken) return undefined;
    const writer = begin(KIND.state);
    writer.u8(0);
    this.#writeMembers(writer);
    this.#writeDigest(writer);
    if (this.#writeDeltas(writer, this.#lacking(digest)).length > 0) writer.bytes[1] = 1;
    return finish(writer);
  }

  /** Ourselves first: whoever answers must know us. */
  #writeMembers(writer: Writer): void {
    const members = this.#options.roster.all();
    writer.varint(members.length);
    for (const member of members) writeBelief(writer, member, this.#options.clock.now());
  }

  #takeMembers(reader: Reader, incarnation: string): void {
    const { roster, membership } = this.#options;
    for (let left = reader.varint(); left > 0; left--) {
      const belief = readRecord(reader);
      if (belief === undefined) return;
      membership.learnFrom(roster.of(incarnation), belief);
    }
  }

  #writeDigest(writer: Writer): void {
    const { roster, lanes } = this.#options;
    const origins = roster.all();
    writer.varint(origins.length);
    for (const origin of origins) {
      writer.hex(origin.incarnation);
      for (const lane of lanes) writer.varint(lane.version(origin.slot));
    }
  }

  /** Versions the other holds, by slot, and by lane. */
  #readDigest(reader: Reader): Map<number, number[]> {
    const versions = new Map<number, number[]>();
    for (let left = reader.varint(); left > 0 && !reader.isBroken; left--) {
      const origin = this.#options.roster.of(reader.hex(8));
      const ofLanes = this.#options.lanes.map(() => reader.varint());
      if (origin !== undefined) versions.set(origin.slot, ofLanes);
    }
    return versions;
  }

  /** What we hold beyond a digest; of an origin it does not name, everything. */
  #lacking(digest: ReadonlyMap<number, readonly number[]>): Entry[] {
    const { roster, lanes } = this.#options;
    const entries = lanes.flatMap((_, lane) =>
      roster.all().map((origin) => ({ lane, origin, after: digest.get(origin.slot)?.[lane] ?? 0 })),
    );
    return entries.filter((each) => this.#isMore(each));
  }

  #isMore({ lane, origin, after }: Entry): boolean {
    return (this.#options.lanes[lane] as Lane).version(origin.slot) > after;
  }

  /** Returns those of which more is to come; of none, when nothing fitted at all: then nothing ever will. */
  #writeDeltas(writer: Writer, lacks: Entry[]): Entry[] {
    let all = 0;
    for (const [lane, rows] of this.#options.lanes.entries()) {
      const countAt = writer.offset;
      writer.u32(0);
      let count = 0;
      for (const lack of lacks.filter((each) => each.lane === lane)) {
        const upTo = writeDelta(writer, rows, lack.origin, lack.after, writer.end - COUNT_BYTES);
        if (upTo > lack.after) count++;
        lack.after = upTo;
      }
      writer.bytes.writeUInt32BE(count, countAt);
      all += count;
    }
    return all === 0 ? [] : lacks.filter((each) => this.#isMore(each));
  }

  /** Whether anything advanced. */
  #takeDeltas(reader: Reader): boolean {
    let isFurther = false;
    for (const [at, lane] of this.#options.lanes.entries()) {
      const onAdvanced = (origin: Peer): void => {
        isFurther = true;
        this.#options.onAdvanced(at, origin);
      };
      readDeltas(reader, reader.u32(), { ...this.#options, lane, onAdvanced });
    }
    return isFurther;
  }
}

/** Shared by all: a payload is begun, written and copied in one go. Made with the first stream. Members and digest of 4,096 take 0.9 MB of it. */
let scratch: Writer | undefined;

function begin(kind: number): Writer {
  scratch ??= new Writer(STREAM_PAYLOAD_BYTES_MAX);
  const writer = scratch.reset(STREAM_PAYLOAD_BYTES_MAX);
  writer.u8(kind);
  return writer;
}

function finish(writer: Writer): Uint8Array {
  return writer.bytes.subarray(0, writer.offset);
}
