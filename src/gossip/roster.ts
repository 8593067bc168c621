/**
 * Who is known, by slot, incarnation and tag.
 *
 *   slots        [ self | peer | peer | – | peer ]     the lowest free one is given next
 *   reachable    [ peer, peer, … ]                     alive and suspect: who is probed and talked to
 */
import type { Clock, Random } from '../core/index.ts';
import { type Belief, type Identity, identityBytes, type Standing, tagOf } from './belief.ts';
import type { Member, MemberState } from './member.ts';
import { MEMBERS_MAX } from './settings.ts';

export class Peer implements Member {
  readonly slot: number;
  readonly incarnation: string;
  readonly name: string;
  readonly address: string;
  readonly tag: number;
  /** Its part of a record, encoded. */
  readonly identity: Buffer;
  state: MemberState = 'alive';
  isListed: boolean | undefined;
  refutation = 0;
  /** Tag of the first who suspects it. */
  accuser = 0;
  /** Since when it is suspect, if it is. */
  suspectedMs = 0;
  /** Its time to refute is over. */
  isOverdue = false;
  /** When it died or left, on our clock. */
  endedMs = 0;
  /** When a frame of its own last came; undefined: never. */
  heardMs: number | undefined;
  /** Round trip, smoothed; undefined: not measured. */
  rttMs: number | undefined;
  /** Slot of who last reached it when we did not. */
  via: number | undefined;

  constructor(slot: number, { incarnation, name, address }: Identity) {
    this.slot = slot;
    this.incarnation = incarnation;
    this.name = name;
    this.address = address;
    this.tag = tagOf(incarnation);
    this.identity = identityBytes(this);
  }

  get isReachable(): boolean {
    return this.state === 'alive' || this.state === 'suspect';
  }
}

const addressOf = ({ address }: Peer): string => address;

/** Two members of one tag: a digest cannot name either of them. The full state, which has whole incarnations, still does. */
const AMBIGUOUS = -1;

export class Roster {
  readonly self: Peer;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #slots: (Peer | undefined)[];
  readonly #byIncarnation = new Map<string, Peer>();
  readonly #byTag = new Map<number, number>();
  readonly #reachable: Peer[] = [];
  #ended = 0;

  constructor(self: Identity, clock: Clock, random: Random) {
    this.self = new Peer(0, self);
    this.#clock = clock;
    this.#random = random;
    this.#slots = [this.self];
    this.#byIncarnation.set(self.incarnation, this.self);
    this.#byTag.set(this.self.tag, 0);
  }

  /** Slots ever in use at once: every slot is below. */
  get slots(): number {
    return this.#slots.length;
  }

  /** All but ourselves that are alive or suspect, in no order. */
  get reachable(): readonly Peer[] {
    return this.#reachable;
  }

  /** Members that count for the formulas: the reachable and ourselves. */
  get count(): number {
    return this.#reachable.length + 1;
  }

  /** Ourselves, and those that may come back: not who left, nor who is dead where another was heard since (an address is no identity). */
  get expected(): number {
    const all = this.all();
    const taken = new Set(all.filter((each) => each.state !== 'dead' && each.heardMs !== undefined).map(addressOf));
    return all.filter((each) => each.isReachable || (each.state === 'dead' && !taken.has(each.address))).length;
  }

  get isFull(): boolean {
    return this.#byIncarnation.size >= MEMBERS_MAX;
  }

  /** Whether anybody is remembered as dead or left. */
  get hasEnded(): boolean {
    return this.#ended > 0;
  }

  at(slot: number): Peer | undefined {
    return this.#slots[slot];
  }

  of(incarnation: string): Peer | undefined {
    return this.#byIncarnation.get(incarnation);
  }

  /** Undefined: nobody, or more than one. */
  ofTag(tag: number): Peer | undefined {
    return this.#slots[this.#byTag.get(tag) ?? AMBIGUOUS];
  }

  /** Ourselves first, then by slot. */
  all(): Peer[] {
    return this.#slots.filter((each) => each !== undefined);
  }

  add(belief: Belief): Peer {
    let slot = this.#slots.indexOf(undefined);
    if (slot === -1) slot = this.#slots.length;
    const peer = new Peer(slot, belief);
    this.#slots[slot] = peer;
    this.#byIncarnation.set(peer.incarnation, peer);
    this.#byTag.set(peer.tag, this.#byTag.has(peer.tag) ? AMBIGUOUS : slot);
    this.#reachable.push(peer);
    this.set(peer, belief, belief.accuser, belief.agoMs);
    return peer;
  }

  set(peer: Peer, { state, refutation }: Standing, accuser: number, agoMs: number): void {
    const wasReachable = peer.isReachable;
    peer.state = state;
    peer.refutation = refutation;
    peer.accuser = accuser;
    peer.isOverdue = false;
    if (peer.slot === 0 || wasReachable === peer.isReachable) return;
    if (wasReachable) this.#reachable.splice(this.#reachable.indexOf(peer), 1);
    else this.#reachable.push(peer);
    this.#ended += wasReachable ? 1 : -1;
    peer.endedMs = this.#clock.now() - agoMs;
  }

  /** Up to `count` different reachable peers by chance, of those that `accept` takes. */
  sample(count: number, accept: (peer: Peer) => boolean = () => true): Peer[] {
    const chosen: Peer[] = [];
    const from = this.#reachable;
    for (let at = 0; at < from.length && chosen.length < count; at++) {
      const other = at + Math.floor(this.#random.float() * (from.length - at));
      const peer = from[other] as Peer;
      from[other] = from[at] as Peer;
      from[at] = peer;
      if (accept(peer)) chosen.push(peer);
    }
    return chosen;
  }

  /** Those of `all` that ended at least `keepMs` ago; they are taken out. */
  forget(keepMs: number): Peer[] {
    if (!this.hasEnded) return [];
    const before = this.#clock.now() - keepMs;
    const gone = this.all().filter((each) => each.slot > 0 && !each.isReachable && each.endedMs <= before);
    for (const peer of gone) this.#remove(peer);
    return gone;
  }

  #remove(peer: Peer): void {
    this.#slots[peer.slot] = undefined;
    this.#byIncarnation.delete(peer.incarnation);
    this.#ended--;
    // Who had the tag besides has it alone again, or still shares it.
    const sharing = this.all().filter((each) => each.tag === peer.tag);
    this.#byTag.delete(peer.tag);
    for (const each of sharing) this.#byTag.set(each.tag, sharing.length === 1 ? each.slot : AMBIGUOUS);
  }
}
