/**
 * What members may believe of one another, held against what only the simulator knows: who is there, and what each said of itself.
 *
 *   a state changes, 4 times a second ─▶ nobody knows of a member that never was, nor a later word of it than its own, nor an earlier one than before ·
 *                                        who is taken for left said so, and never comes back, forgotten or not
 *   … and nothing was done to the     ─▶ all that are there are known to all, and nobody else is held to be there; nobody there is buried
 *   fleet for a while
 */
import { isNewer, type Standing } from '../src/gossip/belief.ts';
import type { Member } from '../src/gossip/index.ts';
import type { Peer } from '../src/gossip/roster.ts';
import { DEFAULT_SETTINGS } from '../src/gossip/settings.ts';
import { suspicionMs } from '../src/gossip/suspicions.ts';
import { after, type Invariants } from './invariants.ts';
import type { SimNet } from './net.ts';
import type { SimProcess } from './time.ts';

/** How often views are looked at, ms. */
const LOOK_MS = 250;
/** Probes that failed, those that came late, and the next look, ms. */
const SLACK_MS = 3000;
/** How long somebody may be unknown behind a cut, or behind seeds that named nobody, ms. 45 s: who never met does by the seeds, which are looked at each 30 ± 6 s. */
const UNKNOWN_MS = 45_000;

/**
 * How long views of so many may be wrong about whom they know, behind anything that is done to the fleet, ms: who missed a farewell, or of a death, finds it at the end of
 * a round of probes at last, and nobody confirms the suspicion. 21 s of 20 members. Two sides of a cut that buried one another try the dead each 0.5 s.
 */
function wrongMs(members: number): number {
  const { probeMs, suspicionMs: unitMs } = DEFAULT_SETTINGS;
  return members * probeMs + suspicionMs(members, 0, unitMs) + SLACK_MS;
}

/** One of the fleet. */
export interface Viewer {
  readonly name: string;
  readonly process: SimProcess;
  readonly gossip: { readonly self: Member; members(): readonly Member[] };
}

export interface ViewsWorld {
  readonly invariants: Invariants;
  readonly net: SimNet;
  /** Who is there and does not leave. */
  readonly viewers: () => readonly Viewer[];
  /** The seeds do not name those that are there. */
  readonly isBlind?: () => boolean;
}

export class Views {
  /** The longest that a view differed from what is since the last thing that was done to the fleet, ms. */
  settledMs = 0;
  readonly #w: ViewsWorld;
  /** All that ever were, by incarnation, as each knows itself. */
  readonly #all = new Map<string, Peer>();
  /** By the incarnation of who believes, and of whom. */
  readonly #before = new Map<string, Map<string, Standing>>();
  #there = new Set<string>();
  /** When something was done last, and since when nobody may be unknown for it. */
  #disturbedMs = 0;
  #metMs = 0;

  constructor(world: ViewsWorld) {
    this.#w = world;
  }

  /** Whoever is started; `fleet`: what is told of members there. */
  add(viewer: Viewer & { readonly fleet: { onMember(member: Member): void } }): void {
    const { fleet, gossip } = viewer;
    this.#all.set(gossip.self.incarnation, gossip.self as Peer);
    after(fleet, 'onMember', () => this.#lookAt(viewer));
  }

  /** From now on. */
  watch(): void {
    const { time } = this.#w.net;
    time.after(LOOK_MS, () => {
      this.#look(time.nowMs);
      this.watch();
    });
  }

  #lookAt({ name, gossip }: Viewer): void {
    const before = this.#standingsOf(gossip.self.incarnation);
    const known = new Set<string>();
    for (const peer of gossip.members() as readonly Peer[]) {
      known.add(peer.incarnation);
      this.#compare(name, peer, before.get(peer.incarnation));
      before.set(peer.incarnation, { state: peer.state, refutation: peer.refutation });
    }
    // Who is forgotten may be met again, but for those that left.
    for (const [incarnation, { state }] of before)
      if (state !== 'left' && !known.has(incarnation)) before.delete(incarnation);
  }

  #compare(name: string, peer: Peer, before: Standing | undefined): void {
    const { invariants } = this.#w;
    const self = this.#all.get(peer.incarnation);
    const is = `${peer.state} ${peer.refutation}`;
    if (self === undefined) return invariants.broke(`${name} knows ${peer.name}, which never was`);
    if (peer.refutation > self.refutation)
      invariants.broke(`${name} holds ${peer.name} for ${is}, which said no more than ${self.refutation} of itself`);
    if (peer.state === 'left' && self.state !== 'left')
      invariants.broke(`${name} holds ${peer.name} for left, which did not leave`);
    if (before !== undefined && isNewer(before, peer))
      invariants.broke(`${name} held ${peer.name} for ${before.state} ${before.refutation}, and for ${is} now`);
  }

  #look(now: number): void {
    const viewers = this.#w.viewers();
    for (const each of viewers) this.#lookAt(each);
    const isBlind = this.#w.net.hasCuts || this.#w.isBlind?.() === true;
    if (this.#isDisturbed(viewers) || isBlind) {
      this.#disturbedMs = now;
      this.#metMs = Math.max(this.#metMs, now + Math.max(isBlind ? UNKNOWN_MS : 0, wrongMs(viewers.length)));
    }
    const forMs = now - this.#disturbedMs;
    const wrong = this.#wrong(viewers);
    const unknown = this.#unknown(viewers);
    if (wrong ?? unknown) this.settledMs = Math.max(this.settledMs, forMs);
    const late = (forMs > wrongMs(viewers.length) ? wrong : undefined) ?? (now > this.#metMs ? unknown : undefined);
    if (late !== undefined)
      this.#w.invariants.broke(`${late}, ${forMs / 1000} s after something was done to the fleet`);
  }

  /** Somebody came, went, or stands still. */
  #isDisturbed(viewers: readonly Viewer[]): boolean {
    const there = new Set(viewers.map(({ gossip }) => gossip.self.incarnation));
    const isSame = there.symmetricDifference(this.#there).size === 0;
    this.#there = there;
    return !isSame || viewers.some(({ process }) => process.isPaused);
  }

  /** Somebody is taken for gone who is there, or for there who is not. */
  #wrong(viewers: readonly Viewer[]): string | undefined {
    for (const { name, gossip } of viewers)
      for (const peer of gossip.members() as readonly Peer[]) {
        const isThere = this.#there.has(peer.incarnation);
        if (isThere !== peer.isReachable)
          return `${name} holds ${peer.name} for ${peer.state}, which is ${isThere ? '' : 'not '}there`;
      }
    return undefined;
  }

  #unknown(viewers: readonly Viewer[]): string | undefined {
    for (const { name, gossip } of viewers) {
      const known = gossip.members().filter(({ incarnation }) => this.#there.has(incarnation)).length;
      if (known < this.#there.size) return `${name} knows ${known} of ${this.#there.size}`;
    }
    return undefined;
  }

  #standingsOf(incarnation: string): Map<string, Standing> {
    let found = this.#before.get(incarnation);
    if (found === undefined) this.#before.set(incarnation, (found = new Map()));
    return found;
  }
}
