// hot path
/**
 * Rows over datagrams, reconciled by versions (scuttlebutt: van Renesse, Dumitriu, Gough, Thomas 2008).
 *
 *   we   ── digest: what we hold ──────────────▶ peer
 *        ◀─ deltas that we lack, what it lacks ──
 *        ── deltas that it lacks ──────────────▶
 *
 * Each turn with 2 peers by chance; often while anything changes, seldom while nothing does, and very often for a moment after somebody had
 * something that cannot wait: the moment travels with the frames, and is shorter with each. A peer that does not answer at all is probed next.
 */
import type { Clock, Reader, Timer, Writer } from '../core/index.ts';
import type { Counts } from './counts.ts';
import type { Lane } from './delegate.ts';
import { readDeltas, writeDelta } from './deltas.ts';
import { URGENCY_STEP_MS, WANTS_ANSWER } from './messages.ts';
import type { Outbox } from './outbox.ts';
import type { OwnTimers } from './own-timers.ts';
import type { Peer, Roster } from './roster.ts';
import type { Rumours } from './rumours.ts';
import { PAYLOAD_BYTES_MAX } from './seal.ts';
import { type GossipSettings, MEMBERS_MAX } from './settings.ts';

/** Tag and version. */
const ENTRY_BYTES_MAX = 12;
/** Left for records behind the deltas of a frame while something is told on. */
const RUMOURS_BYTES = 256;
/** Of a digest in one frame, at most 255 entries. 120 origins of 7 bytes; more take turns. */
const DIGEST_BYTES = 840;
/** What a peer lacks is answered for at most so many origins: as many as a frame can name. */
const LACKS_MAX = 256;

interface Lack {
  readonly origin: Peer;
  after: number;
}

export interface ExchangeOptions {
  readonly clock: Clock;
  readonly timers: OwnTimers;
  readonly roster: Roster;
  readonly rumours: Rumours;
  readonly lane: Lane;
  /** Of its frames, and whether they give way to others. */
  readonly kind: number;
  readonly isCold: boolean;
  readonly outbox: Outbox;
  readonly counts: Counts;
  readonly settings: GossipSettings;
  readonly patienceMs: (peer: Peer) => number;
  readonly onSilent: (peer: Peer) => void;
}

export class Exchange {
  readonly #options: ExchangeOptions;
  /** When the rows of a slot last advanced here, in counts of changes: the newest go first. */
  readonly #changedAt = new Float64Array(MEMBERS_MAX);
  #changes = 0;
  #ownVersion = 0;
  #activeUntilMs = 0;
  #urgentUntilMs = 0;
  #turnedMs = Number.NEGATIVE_INFINITY;
  #dueMs = Number.POSITIVE_INFINITY;
  #timer: Timer | undefined;
  #cursor = 0;

  constructor(options: ExchangeOptions) {
    this.#options = options;
  }

  start(): void {
    this.wake();
  }

  /** Something changed: exchanges stay fast for a while, and the first after a rest follows at once. */
  wake(): void {
    const { clock, settings } = this.#options;
    const now = clock.now();
    const delayMs = now < this.#activeUntilMs ? settings.exchangeMs : settings.nudgeMs;
    this.#activeUntilMs = now + settings.activeMs;
    this.#turnBy(now + delayMs);
  }

  /** Something changed that cannot wait: at most one turn every `nudgeMs`, here and wherever it is heard of. */
  nudge(): void {
    const { clock, settings } = this.#options;
    this.wake();
    this.#hurry(clock.now() + settings.urgentMs, settings.nudgeMs);
  }

  #hurry(untilMs: number, afterMs: number): void {
    if (untilMs <= this.#urgentUntilMs) return;
    this.#urgentUntilMs = untilMs;
    this.#turnBy(Math.max(this.#options.clock.now(), this.#turnedMs + afterMs));
  }

  /** Rows of an origin advanced here. */
  advanced(origin: Peer): void {
    this.#changedAt[origin.slot] = ++this.#changes;
    this.wake();
  }

  forget(slot: number): void {
    this.#changedAt[slot] = 0;
  }

  onRows(sender: Peer, reader: Reader): void {
    const { clock, settings } = this.#options;
    const flags = reader.u8();
    const urgency = Math.min((flags >> 1) * URGENCY_STEP_MS, settings.urgentMs) - URGENCY_STEP_MS;
    if (urgency > 0) this.#hurry(clock.now() + urgency, settings.urgentExchangeMs);
    const lacks: Lack[] = [];
    const wants: Peer[] = [];
    this.#compare(reader, lacks, wants);
    readDeltas(reader, reader.u8(), { ...this.#options, onAdvanced: (origin) => this.advanced(origin) });
    if (reader.isBroken) return;
    if (lacks.length > 0 || wants.length > 0) this.wake();
    if ((flags & WANTS_ANSWER) !== 0) this.#answer(sender, lacks, wants);
    else if (lacks.length > 0) this.#answer(sender, lacks, []);
  }

  #turnBy(atMs: number): void {
    if (atMs >= this.#dueMs) return;
    const { clock, timers } = this.#options;
    this.#timer?.cancel();
    this.#dueMs = atMs;
    this.#timer = timers.after(Math.max(0, atMs - clock.now()), () => this.#turn());
  }

  #turn(): void {
    const { clock, settings, roster, lane } = this.#options;
    const now = clock.now();
    this.#turnedMs = now;
    this.#dueMs = Number.POSITIVE_INFINITY;
    const version = lane.version(0);
    if (version !== this.#ownVersion) this.advanced(roster.self);
    this.#ownVersion = version;
    const isActive = now < this.#activeUntilMs;
    this.#turnBy(
      now + (this.#urgency > 0 ? settings.urgentExchangeMs : isActive ? settings.exchangeMs : settings.idleExchangeMs),
    );
    const peers = roster.sample(settings.fanOut);
    for (const peer of peers) this.#offer(peer);
    if (peers.length > 0) this.#expect(peers, now);
  }

  /** How long there is need for haste, in steps. */
  get #urgency(): number {
    return Math.max(0, Math.floor((this.#urgentUntilMs - this.#options.clock.now()) / URGENCY_STEP_MS));
  }

  /** Who was not heard of since, by anything, is late. */
  #expect(peers: readonly Peer[], sinceMs: number): void {
    const { timers, patienceMs, onSilent } = this.#options;
    timers.verdict(Math.max(...peers.map(patienceMs)), () => {
      for (const peer of peers) if ((peer.heardMs ?? sinceMs - 1) < sinceMs) onSilent(peer);
    });
  }

  #offer(peer: Peer): void {
    const { outbox, roster, lane, kind, isCold } = this.#options;
    if (outbox.mayDrop(isCold)) return;
    const writer = outbox.begin(kind);
    writer.u8(WANTS_ANSWER | (this.#urgency << 1));
    const slots: number[] = [];
    for (let i = 0; i < roster.slots; i++) slots.push((this.#cursor + i) % roster.slots);
    const origins = slots.map((slot) => roster.at(slot)).filter((each) => each !== undefined);
    const last = origins[writeDigest(writer, origins, lane)];
    // More than fit: the next turn begins where this one ended.
    if (last !== undefined) this.#cursor = last.slot;
    writer.u8(0);
    outbox.send(peer, writer);
  }

  /** `lacks`: what the sender does not hold; `wants`: what we do not. */
  #compare(reader: Reader, lacks: Lack[], wants: Peer[]): void {
    const { roster, lane } = this.#options;
    for (let left = reader.u8(); left > 0 && !reader.isBroken; left--) {
      const origin = roster.ofTag(reader.u32());
      const theirs = reader.varint();
      if (origin === undefined || reader.isBroken) continue;
      const ours = lane.version(origin.slot);
      if (theirs < ours && lacks.length < LACKS_MAX) lacks.push({ origin, after: theirs });
      else if (theirs > ours && origin.slot !== 0) wants.push(origin);
    }
  }

  #changeOf({ origin }: Lack): number {
    return this.#changedAt[origin.slot] as number;
  }

  /** At least one frame, by which the peer knows that we are there; then as many as are needed, at most `framesPerTurn`. */
  #answer(peer: Peer, lacks: Lack[], wants: readonly Peer[]): void {
    const { outbox, lane, kind, isCold, settings, rumours } = this.#options;
    lacks.sort((a, b) => this.#changeOf(b) - this.#changeOf(a));
    let left = lacks;
    for (let frames = 0; frames < settings.framesPerTurn && (frames === 0 || left.length > 0); frames++) {
      if (outbox.mayDrop(isCold)) return;
      const writer = outbox.begin(kind);
      writer.u8(this.#urgency << 1);
      writeDigest(writer, frames === 0 ? wants : [], lane);
      left = this.#fill(writer, left, PAYLOAD_BYTES_MAX - (rumours.isEmpty ? 0 : RUMOURS_BYTES));
      outbox.send(peer, writer);
    }
  }

  /** Each origin gets an equal part of what is left of the frame. Returns those of which more is to come, each further than before. */
  #fill(writer: Writer, lacks: readonly Lack[], end: number): Lack[] {
    const { lane, settings } = this.#options;
    const countAt = writer.offset;
    writer.u8(0);
    // At most 97 of 12 bytes fit.
    let count = 0;
    const rest: Lack[] = [];
    for (let i = 0; i < lacks.length; i++) {
      const lack = lacks[i] as Lack;
      const part = Math.max(settings.partBytesMin, Math.floor((end - writer.offset) / (lacks.length - i)));
      const upTo = writeDelta(writer, lane, lack.origin, lack.after, Math.min(end, writer.offset + part));
      if (upTo > lack.after) count++;
      lack.after = upTo;
      if (upTo < lane.version(lack.origin.slot)) rest.push(lack);
    }
    writer.bytes[countAt] = count;
    return rest;
  }
}

/** As many as fit, after their number. Returns how many. */
function writeDigest(writer: Writer, origins: readonly Peer[], lane: Lane): number {
  const countAt = writer.offset;
  const end = countAt + DIGEST_BYTES;
  writer.u8(0);
  let count = 0;
  for (const origin of origins) {
    if (writer.offset + ENTRY_BYTES_MAX > end) break;
    writer.u32(origin.tag);
    writer.varint(lane.version(origin.slot));
    count++;
  }
  writer.bytes[countAt] = count;
  return count;
}
