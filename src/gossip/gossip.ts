/**
 * Membership and the carriage of opaque rows between the processes of one cluster.
 *
 *            ┌─ prober ── suspicions ─┐
 *   frames ──┼─ exchange ─ delegate   ├─ membership ── roster ── rumours ──▶ ride on every frame
 *   streams ─┴─ sync ────┘            │
 *   seeds ──── seeker ────────────────┘
 *
 * One instance is one incarnation. Nothing here waits for a promise or reads a clock of its own: a simulator runs the same code.
 */
import type { Clock, Random, Timers } from '../core/index.ts';
import { type Log, type Metrics, silentLog } from '../telemetry/index.ts';
import { Caller } from './caller.ts';
import { type Counts, newCounts } from './counts.ts';
import { type Delegate, type Lane, NO_LANE } from './delegate.ts';
import { Exchange } from './exchange.ts';
import { Health } from './health.ts';
import { Inbox } from './inbox.ts';
import type { Keyring } from './keyring.ts';
import type { Member } from './member.ts';
import { Membership } from './membership.ts';
import { KIND } from './messages.ts';
import { registerMetrics } from './metrics.ts';
import { Outbox } from './outbox.ts';
import { OwnTimers } from './own-timers.ts';
import { Prober } from './prober.ts';
import { Pulling } from './pulling.ts';
import { type Peer, Roster } from './roster.ts';
import { Rumours } from './rumours.ts';
import { type Refusal, Seal, VERSION } from './seal.ts';
import { type Seeds, seedsText } from './seeds.ts';
import { Seeker } from './seeker.ts';
import { DEFAULT_SETTINGS, type GossipSettings } from './settings.ts';
import { Suspicions } from './suspicions.ts';
import { Sync } from './sync.ts';
import type { Transport } from './transport.ts';

export interface GossipOptions {
  readonly clock: Clock;
  readonly timers: Timers;
  readonly random: Random;
  readonly transport: Transport;
  readonly delegate: Delegate;
  readonly name: string;
  /** 16 hex digits by chance, never used before; made here when it is not given. */
  readonly incarnation?: string;
  /** Cluster label: frames of another cluster are not understood. */
  readonly cluster: string;
  /** Keys by which frames are sealed: the first seals, all open. Undefined: frames are not sealed (a simulator that spares the cost). */
  readonly keyring: Keyring | undefined;
  readonly seeds: Seeds;
  readonly settings?: Partial<GossipSettings>;
  /** How late the event loop is, ms, as measured lately: above 100 we doubt ourselves. */
  readonly lagMs?: () => number;
  readonly log?: Log;
  readonly metrics?: Metrics;
}

/** A pause of ours from which on nothing that was due may accuse anybody, ms. */
const PAUSE_MS = 1000;
const SWEEP_MS = 1000;
/** How often it is said that frames of another version come, ms: anybody can send one. */
const SAID_MS = 60_000;
/** Peers whose acks let us go. */
const ACKS_ENOUGH = 2;
/** Peers that hear of our leaving at once. */
const FAREWELLS = 8;
/** Peers that probe for confirmation, on average, of those that hear of a suspicion. */
const CONFIRMING = 8;

export class Gossip {
  readonly counts: Counts = newCounts();
  readonly #options: GossipOptions;
  readonly #settings: GossipSettings;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #timers: OwnTimers;
  readonly #roster: Roster;
  readonly #health = new Health();
  readonly #suspicions: Suspicions;
  readonly #membership: Membership;
  readonly #prober: Prober;
  /** Of rows, the hot ones first. */
  readonly #exchanges: readonly Exchange[];
  readonly #sync: Sync;
  readonly #inbox: Inbox;
  readonly #caller: Caller;
  readonly #seeker: Seeker;
  readonly #pulling: Pulling;
  #doubtedMs = Number.NEGATIVE_INFINITY;
  #wasIsolated = false;
  /** It was said that the seeds do not answer. */
  #saidUnanswered = false;
  readonly #refusedMs = { version: Number.NEGATIVE_INFINITY, key: Number.NEGATIVE_INFINITY };
  #closed: Promise<void> | undefined;

  constructor(options: GossipOptions) {
    const { clock, random, transport, delegate, name, cluster, keyring } = options;
    this.#options = options;
    this.#clock = clock;
    this.#log = options.log ?? silentLog;
    this.#settings = { ...DEFAULT_SETTINGS, ...options.settings };
    const { counts } = this;
    const settings = this.#settings;
    const health = this.#health;
    const timers = (this.#timers = new OwnTimers(clock, options.timers));
    timers.onLate = (lateMs) => this.#doubtOurselves(lateMs);
    const { incarnation = random.hex(8) } = options;
    const roster = (this.#roster = new Roster({ incarnation, name, address: transport.address }, clock, random));
    const rumours = new Rumours();
    const seal = new Seal({
      clock,
      cluster,
      incarnation,
      keyring,
      addressOf: (of) => roster.of(of)?.address,
      onRefused: (reason, version) => this.#onRefused(reason, version),
    });
    const outbox = new Outbox({
      clock,
      transport,
      roster,
      rumours,
      seal,
      counts,
      egressBytesPerSec: settings.egressBytesPerSec,
    });
    this.#suspicions = new Suspicions({
      clock,
      timers,
      health,
      unitMs: settings.suspicionMs,
      count: () => roster.count,
      onDead: (peer) => this.#onOverdue(peer),
    });
    const membership = (this.#membership = new Membership({
      clock,
      roster,
      rumours,
      suspicions: this.#suspicions,
      health,
      keepMs: settings.keepMs,
      hooks: {
        onMember: (peer) => this.#onMember(peer),
        onSuspected: (peer) => this.#onSuspected(peer),
        onForgotten: (peer) => this.#onForgotten(peer),
        onFull: () => void counts.overfull++,
      },
    }));
    const prober = (this.#prober = new Prober({
      clock,
      timers,
      random,
      roster,
      health,
      outbox,
      settings,
      lagMs: options.lagMs ?? (() => 0),
      knock: (target, done) => this.#caller.knock(target, done),
      onFailed: (target) => (target.isOverdue ? this.#membership.bury(target) : this.#membership.suspect(target)),
    }));
    const exchangeOf = (lane: Lane, kind: number, timing: GossipSettings): Exchange =>
      new Exchange({
        clock,
        timers,
        roster,
        rumours,
        lane,
        kind,
        isCold: kind === KIND.cold,
        outbox,
        counts,
        settings: timing,
        patienceMs: (peer) => this.#prober.patienceMs(peer),
        // Whom only others reach is silent towards us anyway.
        onSilent: (peer) => void (peer.via === undefined && this.#prober.probe(peer)),
      });
    const { cold } = delegate;
    const exchanges = new Map([[KIND.rows as number, exchangeOf(delegate, KIND.rows, settings)]]);
    if (cold !== undefined) exchanges.set(KIND.cold, exchangeOf(cold, KIND.cold, { ...settings, ...settings.cold }));
    this.#exchanges = [...exchanges.values()];
    const sync = (this.#sync = new Sync({
      clock,
      roster,
      membership,
      lanes: [delegate, cold ?? NO_LANE],
      counts,
      ask: (address, payload, done) => this.#caller.ask(address, payload, done),
      onAdvanced: (lane, origin) => this.#exchanges[lane]?.advanced(origin),
    }));
    this.#inbox = new Inbox({ seal, roster, membership, prober, exchanges, sync, outbox, counts });
    this.#caller = new Caller({
      transport,
      seal,
      roster,
      membership,
      outbox,
      counts,
      isClosed: () => this.#closed !== undefined,
    });
    this.#seeker = new Seeker({
      timers,
      random,
      roster,
      seeds: options.seeds,
      settings,
      sync: (address, done) => this.#pulling.from(address, done),
      onLooked: () => this.#pulling.looked(),
      onListed: () => this.#onListed(),
    });
    this.#pulling = new Pulling({ roster, sync, isNobodyListed: () => this.#seeker.isNobodyListed });
    if (options.metrics !== undefined) registerMetrics(options.metrics, this);
  }

  get self(): Member {
    return this.#roster.self;
  }

  /** Local health, 0 (well) to 8. */
  get health(): number {
    return this.#health.score;
  }

  /** The seeds have answered, or somebody was heard; before that nobody knows who is there. */
  get isFound(): boolean {
    return this.#membership.hasHeard || this.#seeker.listed !== undefined;
  }

  /** No peer was heard for 10 s although some are expected. */
  get isIsolated(): boolean {
    return this.expected > 1 && this.#isSilent;
  }

  get #isSilent(): boolean {
    return this.#clock.now() - this.#membership.heardMs >= this.#settings.isolatedMs;
  }

  /**
   * How many members are expected, ourselves included: the listed addresses where they are all; else the members known that did not leave, or
   * were not followed by another at their address; and before anybody was heard, those that are listed.
   */
  get expected(): number {
    const known = this.#seeker.expected ?? this.#roster.expected;
    return this.#membership.hasHeard ? known : Math.max(known, this.#seeker.listed ?? 1);
  }

  /** Ourselves first, the dead and the left included while they are remembered. */
  members(): readonly Member[] {
    return this.#roster.all();
  }

  member(slot: number): Member | undefined {
    return this.#roster.at(slot);
  }

  /** `done`: state was pulled from peers (2 if there are), or there is nobody after the first looks. */
  start(done: () => void): void {
    this.#pulling.begin(done);
    this.#options.transport.listen({
      datagram: (bytes, from) => {
        if (this.#closed === undefined) this.#inbox.datagram(bytes, from);
      },
      request: (bytes) => (this.#closed === undefined ? this.#inbox.request(bytes) : undefined),
    });
    this.#options.delegate.onMember(this.#roster.self);
    this.#prober.start();
    for (const exchange of this.#exchanges) exchange.start();
    this.#every(SWEEP_MS, () => this.#sweep());
    this.#every(this.#settings.syncMs, () => this.#pulling.fromAny());
    this.#seeker.look();
  }

  /** Something that others should hear at once: starts an exchange, at most one every 20 ms. */
  nudge(): void {
    this.#exchanges[0]?.nudge();
  }

  /** The same of cold rows. */
  nudgeCold(): void {
    this.#exchanges[1]?.nudge();
  }

  /** Announces that we go, with the last rows; `done` when 2 peers have both, at most after 1 s. Peers are served until `close`. */
  leave(done: () => void): void {
    this.#membership.leave();
    let isDone = false;
    const end = (): void => {
      if (isDone) return;
      isDone = true;
      done();
    };
    this.#timers.after(this.#settings.leaveMs, end);
    const peers = this.#roster.sample(FAREWELLS);
    for (const peer of peers) this.#prober.ping(peer);
    const enough = Math.min(ACKS_ENOUGH, peers.length);
    if (enough === 0) return end();
    let acks = 0;
    for (const peer of peers.slice(0, ACKS_ENOUGH + 1))
      this.#sync.run(peer.address, (isSynced) => {
        if (isSynced && ++acks === enough) end();
      });
  }

  close(): Promise<void> {
    this.#timers.close();
    this.#closed ??= this.#options.transport.close();
    return this.#closed;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #every(periodMs: number, run: () => void): void {
    this.#timers.after(periodMs * (0.9 + 0.2 * this.#options.random.float()), () => {
      this.#every(periodMs, run);
      run();
    });
  }

  #onMember(peer: Peer): void {
    peer.isListed = this.#seeker?.isListed(peer.incarnation, peer.address);
    const { slot, incarnation, name, address, state } = peer;
    this.#log.info('gossip.member', { slot, incarnation, name, address, state });
    this.#options.delegate.onMember(peer);
    for (const exchange of this.#exchanges) exchange.wake();
  }

  /** Others doubt it: it hears of that from us, and some of us look for themselves. */
  #onSuspected(peer: Peer): void {
    this.#prober.ping(peer);
    const isChosen = this.#options.random.float() * this.#roster.count < CONFIRMING;
    if (isChosen || this.#prober.hasWay) this.#prober.probe(peer);
  }

  /** It did not refute. Where somebody reaches whom we do not, its word may be lost between us: one more look. */
  #onOverdue(peer: Peer): void {
    peer.isOverdue = true;
    if (!this.#prober.hasWay || !this.#prober.probe(peer)) this.#membership.bury(peer);
  }

  #onForgotten(peer: Peer): void {
    for (const exchange of this.#exchanges) exchange.forget(peer.slot);
    this.#options.delegate.onForgotten(peer.slot);
  }

  #onListed(): void {
    for (const peer of this.#roster.all()) {
      const isListed = this.#seeker.isListed(peer.incarnation, peer.address);
      if (isListed === peer.isListed) continue;
      peer.isListed = isListed;
      this.#options.delegate.onMember(peer);
    }
  }

  /** Frames of another version are of a fleet that is being replaced, mostly: an operator should know why two halves do not see each other. */
  #onRefused(reason: Refusal, version?: number): void {
    this.counts.refused[reason]++;
    const now = this.#clock.now();
    if ((reason !== 'version' && reason !== 'key') || now - this.#refusedMs[reason] < SAID_MS) return;
    this.#refusedMs[reason] = now;
    if (reason === 'key')
      return this.#log.warn('gossip.key_refused', {
        remedy: 'give all sidecars of a fleet the same keys: whose frames cannot be opened counts as missing',
      });
    this.#log.warn('gossip.version_refused', {
      version,
      expected: VERSION,
      remedy: 'run one version of reeve in the whole fleet: sidecars of two versions count each other as missing',
    });
  }

  #doubtOurselves(lateMs: number): void {
    const now = this.#clock.now();
    // Once a stall, however many timers it made late.
    if (now - this.#doubtedMs >= this.#settings.probeMs) this.#health.worsen(1);
    this.#doubtedMs = now;
    if (lateMs < PAUSE_MS) return;
    this.#log.warn('gossip.paused', { lateMs });
    this.#prober.abandon();
    this.#suspicions.restart();
  }

  #tellIsolation(isIsolated: boolean): void {
    const { expected } = this;
    if (!isIsolated) return this.#log.warn('gossip.rejoined', { expected });
    this.#log.warn('gossip.isolated', {
      expected,
      seeds: seedsText(this.#options.seeds),
      remedy:
        'see that the seeds name the others, that UDP and TCP of the gossip port pass between sidecars, and that all have one key and cluster; until then this one takes an equal part of each limit',
    });
  }

  #tellUnanswered(): void {
    if (this.#saidUnanswered && this.isFound) {
      this.#saidUnanswered = false;
      return this.#log.info('gossip.seeds_answered', { expected: this.expected });
    }
    if (this.#saidUnanswered || this.isFound || !this.#isSilent) return;
    this.#saidUnanswered = true;
    this.#log.warn('gossip.seeds_unanswered', {
      seeds: seedsText(this.#options.seeds),
      // A name server that is away lets a look take longer than it takes to say this.
      cause: this.#seeker.cause ?? 'no answer',
      remedy:
        'see that the name of spec.gossip.seeds.dns has addresses, or its file is there and has some; until then this one takes itself for alone, and refuses hard quotas',
    });
  }

  #sweep(): void {
    const { isIsolated } = this;
    if (isIsolated !== this.#wasIsolated) this.#tellIsolation(isIsolated);
    this.#wasIsolated = isIsolated;
    this.#tellUnanswered();
    this.#pulling.again();
    // Whom we lost is expected until somebody is heard again.
    if (!isIsolated) this.#membership.sweep();
  }
}
