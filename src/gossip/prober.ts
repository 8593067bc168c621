/**
 * Who is still there: SWIM's probes with Lifeguard's doubts about oneself.
 *
 *   0 ms          ping ───────────────▶ target
 *   3 round trips no ack: ask 3 others ─▶ target, and knock over a stream
 *   deadline      nothing on any way: suspect;   missing nacks of the others speak against us
 */
import type { Clock, Random, Reader, Timer } from '../core/index.ts';
import type { Health } from './health.ts';
import { KIND } from './messages.ts';
import type { Outbox } from './outbox.ts';
import type { OwnTimers } from './own-timers.ts';
import { Relays } from './relays.ts';
import type { Peer, Roster } from './roster.ts';
import type { GossipSettings } from './settings.ts';

/** Probes at once. 8: a partition makes many late, and each costs a handful of frames. */
const PROBES_MAX = 8;
/** Weight of a new round trip. 1/8: RFC 6298 §2. */
const RTT_WEIGHT = 1 / 8;
/** Above this a reading of the event loop's lag counts against us, ms. */
const LAG_MS = 100;
/** How long a way past a broken link counts, ms. 10,000: each member is probed several times within. */
const WAY_MS = 10_000;
/** Failed probes that are remembered for late acks. */
const LATE_MAX = 64;

interface Probe {
  readonly id: number;
  readonly target: Peer;
  readonly startedMs: number;
  readonly timers: Timer[];
  /** Slots of those asked. */
  readonly asked: Set<number>;
  /** Of them those that did not answer. */
  readonly silent: Set<number>;
}

export interface ProberOptions {
  readonly clock: Clock;
  readonly timers: OwnTimers;
  readonly random: Random;
  readonly roster: Roster;
  readonly health: Health;
  readonly outbox: Outbox;
  readonly settings: GossipSettings;
  readonly lagMs: () => number;
  /** Asks over a stream; `done` says whether the very member answered. */
  readonly knock: (target: Peer, done: (isThere: boolean) => void) => void;
  readonly onFailed: (target: Peer) => void;
}

export class Prober {
  readonly #options: ProberOptions;
  /** At most PROBES_MAX, by id. */
  readonly #running = new Map<number, Probe>();
  readonly #late = new Set<number>();
  readonly #relays: Relays;
  #round: Peer[] = [];
  #lastVia: number | undefined;
  #lastViaMs = Number.NEGATIVE_INFINITY;
  #nextId: number;

  constructor(options: ProberOptions) {
    this.#options = options;
    this.#nextId = Number.parseInt(options.random.hex(3), 16);
    this.#relays = new Relays(options);
  }

  start(): void {
    const { timers, settings, random } = this.#options;
    // The first after a part of the period: who starts together shall not probe together.
    timers.after(settings.probeMs * random.float(), () => {
      this.#turn();
      this.#tryDead();
    });
  }

  /** We stood still: what is running proves nothing. */
  abandon(): void {
    for (const { timers } of this.#running.values()) for (const each of timers) each.cancel();
    this.#running.clear();
  }

  /** How long a direct answer may take, ms. */
  patienceMs(peer: Peer): number {
    const { health, settings } = this.#options;
    const most = settings.probeTimeoutMaxMs;
    const ms = Math.max(settings.probeTimeoutMinMs, 3 * (peer.rttMs ?? most / 6));
    return health.widened(Math.min(most, ms));
  }

  /** Probes one now; false when too many are being probed, and there will be no verdict. */
  probe(target: Peer): boolean {
    const { clock, timers, health, settings } = this.#options;
    if (this.#isProbed(target)) return true;
    if (this.#running.size >= PROBES_MAX || !target.isReachable) return false;
    const id = this.#newId();
    const probe: Probe = { id, target, startedMs: clock.now(), timers: [], asked: new Set(), silent: new Set() };
    this.#running.set(id, probe);
    this.ping(target, id);
    probe.timers.push(timers.verdict(this.patienceMs(target), () => this.#ask(probe)));
    probe.timers.push(timers.verdict(health.widened(settings.probeDeadlineMs), () => this.#fail(probe)));
    return true;
  }

  /** One ping without a verdict: who is doubted hears of it. */
  ping(target: Peer, id: number = this.#newId()): void {
    const { outbox } = this.#options;
    const writer = outbox.begin(KIND.ping);
    writer.u32(id);
    writer.hex(target.incarnation);
    outbox.introduce(writer);
    outbox.send(target, writer);
  }

  /** Whether somebody reached, lately, whom we did not. */
  get hasWay(): boolean {
    return this.#options.clock.now() - this.#lastViaMs < WAY_MS;
  }

  /** A frame of one of our kinds, whose head is whole and whose records were learnt. */
  on(kind: number, sender: Peer, reader: Reader): void {
    if (kind === KIND.ping) this.#onPing(sender, reader);
    else if (kind === KIND.ack) this.#onAck(sender, reader);
    else if (kind === KIND.ask) this.#onAsk(sender, reader);
    else if (kind === KIND.relayed) this.#onRelayed(sender, reader);
    else this.#onNack(sender, reader);
  }

  #onPing(sender: Peer, reader: Reader): void {
    const { roster, outbox } = this.#options;
    const id = reader.u32();
    const isForUs = reader.hex(8) === roster.self.incarnation;
    const writer = outbox.begin(KIND.ack);
    // Meant for who had this address before: it must not count as its answer, but says who is here.
    writer.u32(isForUs ? id : 0);
    if (!isForUs) outbox.introduce(writer);
    outbox.send(sender, writer);
  }

  #onAck(sender: Peer, reader: Reader): void {
    const id = reader.u32();
    if (this.#relays.onAck(sender, id)) return;
    if (this.#late.delete(id)) this.#options.health.worsen(1);
    const probe = this.#running.get(id);
    if (probe === undefined || probe.target !== sender) return;
    const rttMs = this.#options.clock.now() - probe.startedMs;
    if (probe.asked.size === 0) sender.rttMs = (sender.rttMs ?? rttMs) + RTT_WEIGHT * (rttMs - (sender.rttMs ?? rttMs));
    sender.via = undefined;
    this.#succeed(probe);
  }

  #onAsk(sender: Peer, reader: Reader): void {
    const id = reader.u32();
    const target = this.#options.roster.of(reader.hex(8));
    const ownId =
      target === undefined || target.slot === 0 ? undefined : this.#relays.add(sender, id, target, this.#newId());
    if (target !== undefined && ownId !== undefined) this.ping(target, ownId);
    else this.#relays.nack(sender, id, target);
  }

  /** A mediator got an answer. */
  #onRelayed(sender: Peer, reader: Reader): void {
    const probe = this.#running.get(reader.u32());
    if (!probe?.silent.delete(sender.slot)) return;
    probe.target.via = sender.slot;
    this.#lastVia = sender.slot;
    this.#lastViaMs = this.#options.clock.now();
    this.#succeed(probe);
  }

  /** A mediator got none, but is there itself: then it is not our network. It may know who reaches the target. */
  #onNack(sender: Peer, reader: Reader): void {
    const probe = this.#running.get(reader.u32());
    const way = this.#options.roster.of(reader.hex(8));
    if (!probe?.silent.delete(sender.slot) || way === undefined) return;
    if (way.isReachable && way !== probe.target && !probe.asked.has(way.slot)) this.#askOne(probe, way);
  }

  #turn(): void {
    const { timers, settings, health, lagMs } = this.#options;
    timers.after(health.widened(settings.probeMs), () => this.#turn());
    if (lagMs() > LAG_MS) health.worsen(1);
    const target = this.#next();
    if (target !== undefined) this.probe(target);
  }

  /** Who is taken for dead may be back behind a healed partition: it hears what we believe, and refutes. */
  #tryDead(): void {
    const { timers, settings, roster } = this.#options;
    timers.after(settings.probeMs, () => this.#tryDead());
    const ended = roster.hasEnded ? roster.all().filter((each) => each.state === 'dead') : [];
    const one = ended[Math.floor(this.#options.random.float() * ended.length)];
    if (one !== undefined) this.ping(one);
  }

  /** Everybody once a round, in an order of its own (SWIM §4.3): the longest wait is bounded. */
  #next(): Peer | undefined {
    const { roster } = this.#options;
    for (;;) {
      if (this.#round.length === 0) this.#round = roster.sample(roster.reachable.length);
      const peer = this.#round.pop();
      if (peer === undefined || (peer.isReachable && roster.at(peer.slot) === peer)) return peer;
    }
  }

  #isProbed(target: Peer): boolean {
    for (const each of this.#running.values()) if (each.target === target) return true;
    return false;
  }

  #ask(probe: Probe): void {
    const { knock } = this.#options;
    for (const mediator of this.#mediators(probe.target)) this.#askOne(probe, mediator);
    knock(probe.target, (isThere) => {
      if (isThere && this.#running.get(probe.id) === probe) this.#succeed(probe);
    });
  }

  #askOne({ id, target, asked, silent }: Probe, mediator: Peer): void {
    const { outbox } = this.#options;
    asked.add(mediator.slot);
    silent.add(mediator.slot);
    const writer = outbox.begin(KIND.ask);
    writer.u32(id);
    writer.hex(target.incarnation);
    // Whoever reaches it tells it what it is suspected of.
    outbox.mention(writer, target);
    outbox.send(mediator, writer);
  }

  /** First those who reached it, or anyone, when we could not: behind a one-way link they are the only way. */
  #mediators(target: Peer): Peer[] {
    const { roster, settings } = this.#options;
    const proven = [target.via, this.#lastVia].map((slot) => (slot === undefined ? undefined : roster.at(slot)));
    const fits = (each: Peer | undefined): each is Peer => each?.isReachable === true && each !== target;
    const first = [...new Set(proven.filter(fits))];
    const rest = roster.sample(settings.mediators - first.length, (each) => each !== target && !first.includes(each));
    return [...first, ...rest];
  }

  #succeed(probe: Probe): void {
    this.#end(probe);
    this.#options.health.improve();
  }

  #fail(probe: Probe): void {
    this.#end(probe);
    this.#late.add(probe.id);
    if (this.#late.size > LATE_MAX) this.#late.delete(this.#late.values().next().value as number);
    // memberlist: who asked and heard nothing at all doubts its own network; alone with the target nobody can tell.
    this.#options.health.worsen(probe.asked.size > 0 ? probe.silent.size : 1);
    this.#options.onFailed(probe.target);
  }

  #end(probe: Probe): void {
    for (const each of probe.timers) each.cancel();
    this.#running.delete(probe.id);
  }

  /** Never 0, which answers nothing. */
  #newId(): number {
    this.#nextId = (this.#nextId % 0xffff_ffff) + 1;
    return this.#nextId;
  }
}
