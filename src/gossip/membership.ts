/**
 * What is believed of whom: every word about a member passes here, wherever it came from.
 *
 *   frame, sync ──▶ learn ─┬─▶ roster (the larger belief holds) ─▶ rumours, suspicions, delegate
 *   probe failed ─▶ suspect┘
 */
import type { Clock } from '../core/index.ts';
import { type Belief, isNewer, type Standing } from './belief.ts';
import type { Health } from './health.ts';
import type { Peer, Roster } from './roster.ts';
import type { Rumours } from './rumours.ts';
import type { Suspicions } from './suspicions.ts';

export interface MembershipHooks {
  /** A member is new or another state holds of it. */
  onMember(peer: Peer): void;
  /** Somebody else suspects it: whoever reaches it should tell it. */
  onSuspected(peer: Peer): void;
  onForgotten(peer: Peer): void;
  /** Somebody new is not taken in: MEMBERS_MAX are known. */
  onFull(): void;
}

export interface MembershipOptions {
  readonly clock: Clock;
  readonly roster: Roster;
  readonly rumours: Rumours;
  readonly suspicions: Suspicions;
  readonly health: Health;
  readonly keepMs: number;
  readonly hooks: MembershipHooks;
}

/** That a suspect has, once others say it is dead, ms. 1,000: it hears of it from us at once, and its word takes two turns of an exchange. */
const DOOM_MS = 1000;

export class Membership {
  readonly #options: MembershipOptions;

  /** When anybody was heard last; at first, when we began to listen. */
  heardMs: number;
  /** Somebody was heard, some time. */
  hasHeard = false;

  constructor(options: MembershipOptions) {
    this.#options = options;
    this.heardMs = options.clock.now();
  }

  /**
   * What a frame of `sender` says. Who is not there itself has no say about others: cut off, it takes all of them for dead. It hears that from us,
   * and once it refuted it is listened to again.
   */
  learnFrom(sender: Peer | undefined, belief: Belief): void {
    const isAccusation = belief.state === 'suspect' || belief.state === 'dead';
    if (isAccusation && sender?.isReachable !== true && belief.incarnation !== this.#options.roster.self.incarnation)
      return;
    this.learn(belief);
  }

  learn(belief: Belief): void {
    const { roster, rumours, suspicions } = this.#options;
    const peer = roster.of(belief.incarnation);
    if (peer === undefined) return this.#meet(belief);
    if (peer === roster.self) return this.#answerFor(belief);
    if (isNewer(belief, peer)) {
      if (belief.state === 'dead' && peer.isReachable) return this.#doom(peer, belief);
      return this.#change(peer, belief, belief.accuser, belief.agoMs);
    }
    const isSameSuspicion = belief.state === 'suspect' && !isNewer(peer, belief);
    if (isSameSuspicion && suspicions.confirm(peer, belief.accuser)) rumours.add(peer, belief.accuser);
    // Who suspects one that left missed its farewell, and hears it again.
    if (belief.state === 'suspect' && peer.state === 'left') rumours.add(peer);
  }

  /** We got no answer on any way. */
  suspect(peer: Peer): void {
    this.learn({ ...beliefOf(peer), state: 'suspect', accuser: this.#options.roster.self.tag, agoMs: 0 });
  }

  /** It did not refute in time, or another holds its address. */
  bury(peer: Peer): void {
    this.#change(peer, { state: 'dead', refutation: peer.refutation }, 0, 0);
  }

  /** A frame of its own came. The first one proves who holds the address now (consul#2430: an address is no identity). */
  heard(peer: Peer): void {
    const { clock, roster } = this.#options;
    // Over a stream we may have met ourselves.
    if (peer === roster.self) return;
    const isFirst = peer.heardMs === undefined;
    this.heardMs = clock.now();
    this.hasHeard = true;
    peer.heardMs = this.heardMs;
    if (!isFirst || !peer.isReachable) return;
    // Once a pair: two that are configured with one address would bury each other for ever.
    for (const each of roster.reachable.filter((other) => other.address === peer.address && other !== peer))
      this.bury(each);
  }

  leave(): void {
    const { roster, rumours, hooks } = this.#options;
    roster.set(roster.self, { state: 'left', refutation: roster.self.refutation + 1 }, 0, 0);
    roster.self.endedMs = this.#options.clock.now();
    rumours.add(roster.self);
    hooks.onMember(roster.self);
  }

  /** Forgets who ended long ago. */
  sweep(): void {
    const { roster, rumours, hooks, keepMs } = this.#options;
    for (const peer of roster.forget(keepMs)) {
      rumours.remove(peer);
      hooks.onForgotten(peer);
    }
  }

  #meet(belief: Belief): void {
    const { clock, roster, rumours, suspicions, hooks, keepMs } = this.#options;
    if (belief.agoMs >= keepMs) return;
    if (roster.isFull) return hooks.onFull();
    const peer = roster.add(belief);
    if (peer.state === 'suspect') {
      peer.suspectedMs = clock.now();
      suspicions.start(peer, belief.accuser);
    }
    rumours.add(peer);
    hooks.onMember(peer);
    // Whoever had our address before us does not have it any more.
    if (peer.isReachable && peer.address === roster.self.address) this.bury(peer);
  }

  /**
   * Hearsay of a death. It holds once we suspected the member for a while, in which it would have refuted; until then it is a suspicion that ends
   * soon. Behind a healed partition each side hears that all of it are dead, and none of them needs to be (memberlist takes the dead of a push/pull
   * for suspects likewise).
   */
  #doom(peer: Peer, belief: Belief): void {
    const { clock, suspicions } = this.#options;
    const isLater = belief.refutation > peer.refutation;
    if (peer.state === 'alive' || isLater)
      this.#change(peer, { state: 'suspect', refutation: belief.refutation }, 0, 0);
    else if (clock.now() - peer.suspectedMs >= DOOM_MS) return this.#change(peer, belief, 0, belief.agoMs);
    suspicions.hasten(peer, DOOM_MS);
  }

  #change(peer: Peer, standing: Standing, accuser: number, agoMs: number): void {
    const { clock, roster, rumours, suspicions, hooks } = this.#options;
    const before = peer.state;
    roster.set(peer, standing, accuser, agoMs);
    if (standing.state === 'suspect') {
      peer.suspectedMs = clock.now();
      suspicions.start(peer, accuser);
    } else suspicions.stop(peer);
    rumours.add(peer);
    if (before !== peer.state) hooks.onMember(peer);
    if (peer.state === 'suspect' && accuser !== roster.self.tag) hooks.onSuspected(peer);
  }

  /** Something is said of us: it is refuted by a larger number. Who doubts us although we refuted missed it, and hears it again. */
  #answerFor(belief: Belief): void {
    const { roster, rumours, health } = this.#options;
    const { self } = roster;
    if (isNewer(belief, self)) {
      roster.set(self, { state: self.state, refutation: belief.refutation + 1 }, 0, 0);
      health.worsen(1);
    } else if (belief.state === self.state) return;
    rumours.add(self);
  }
}

function beliefOf({ incarnation, name, address, state, refutation, accuser }: Peer): Belief {
  return { incarnation, name, address, state, refutation, accuser, agoMs: 0 };
}
