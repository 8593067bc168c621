/**
 * Finds peers by the seeds, for ever: who was cut off or evicted comes back by itself (mimir#16254), and whoever is listed and unknown is joined.
 *
 *   look ─▶ listed ─▶ unknown ones joined, 3 at once, each once a look ─▶ look again: 30 s, alone 1 s, 2 s, 4 s …
 */
import type { Random } from '../core/index.ts';
import type { OwnTimers } from './own-timers.ts';
import type { Roster } from './roster.ts';
import type { Seeds } from './seeds.ts';
import type { GossipSettings } from './settings.ts';

/** Joins at once. 3: the rest is learnt from those. */
const JOINS_MAX = 3;
/** Before a further join, ms: by then rumours have told most of those that are still unknown. */
const PACE_MS = 100;
/** Each interval varies by so much of itself, up and down: who starts together shall not look together. */
const JITTER = 0.2;

export interface SeekerOptions {
  readonly timers: OwnTimers;
  readonly random: Random;
  readonly roster: Roster;
  readonly seeds: Seeds;
  readonly settings: GossipSettings;
  /** Full state with whoever is at the address; says whose incarnation answered. */
  readonly sync: (address: string, done: (isDone: boolean, incarnation: string) => void) => void;
  /** A look is over, and everybody it named was tried. */
  readonly onLooked: () => void;
  /** What is listed may have changed. */
  readonly onListed: () => void;
}

export class Seeker {
  readonly #options: SeekerOptions;
  /** The last answer. At most SEEDS_MAX. */
  #listed: ReadonlySet<string> | undefined;
  /** Why the last look had no answer; undefined: it had one, or is not over. */
  #cause: string | undefined;
  /** Addresses of the last answer that reached a member under another address than its own: names of hosts, of us too. */
  #aliases = new Map<string, string>();
  /** To be tried after this look. */
  #untried: string[] = [];
  #joining = 0;
  #backoffMs: number;

  constructor(options: SeekerOptions) {
    this.#options = options;
    this.#backoffMs = options.settings.aloneMs;
  }

  /** Addresses that are expected, ours included; undefined: not known. */
  get expected(): number | undefined {
    return this.#options.seeds.isComplete ? this.listed : undefined;
  }

  /** Addresses of the last answer and ours, whether it names all or some; undefined: there was none. */
  get listed(): number | undefined {
    const { roster } = this.#options;
    if (this.#listed === undefined) return undefined;
    const own = this.#aliasesOf(roster.self.incarnation).concat(roster.self.address);
    return this.#listed.size + (own.some((each) => this.#listed?.has(each)) ? 0 : 1);
  }

  get cause(): string | undefined {
    return this.#cause;
  }

  /** The last answer names nobody but us. */
  get isNobodyListed(): boolean {
    return this.#listed !== undefined && this.#untried.length === 0 && this.#joining === 0;
  }

  isListed(incarnation: string, address: string): boolean | undefined {
    if (this.#listed === undefined || !this.#options.seeds.isComplete) return undefined;
    return this.#listed.has(address) || this.#aliasesOf(incarnation).length > 0;
  }

  look(): void {
    const { seeds, random } = this.#options;
    seeds.look((addresses, cause) => {
      this.#cause = cause;
      if (addresses !== undefined) {
        this.#listed = new Set(addresses);
        this.#aliases = new Map([...this.#aliases].filter(([address]) => this.#listed?.has(address)));
        this.#options.onListed();
      }
      this.#untried = [...(this.#listed ?? [])];
      // By chance: the first of a list would be asked by everybody.
      for (let at = this.#untried.length - 1; at > 0; at--) {
        const other = Math.floor(random.float() * (at + 1));
        [this.#untried[at], this.#untried[other]] = [this.#untried[other] as string, this.#untried[at] as string];
      }
      this.#again();
      for (let i = 0; i < JOINS_MAX; i++) this.#join();
      if (this.#joining === 0) this.#options.onLooked();
    });
  }

  #again(): void {
    const { timers, random, roster, settings } = this.#options;
    const isAlone = roster.reachable.length === 0;
    const ms = isAlone ? this.#backoffMs : settings.seedsMs;
    this.#backoffMs = isAlone ? Math.min(settings.seedsMs, 2 * this.#backoffMs) : settings.aloneMs;
    timers.after(ms * (1 - JITTER + 2 * JITTER * random.float()), () => this.look());
  }

  #join(): void {
    const address = this.#nextUnknown();
    if (address === undefined) return;
    const { sync, timers, onListed, roster } = this.#options;
    this.#joining++;
    sync(address, (isDone, incarnation) => {
      if (isDone && roster.of(incarnation)?.address !== address) this.#aliases.set(address, incarnation);
      if (isDone) onListed();
      timers.after(PACE_MS, () => {
        this.#joining--;
        this.#join();
        if (this.#joining === 0) this.#options.onLooked();
      });
    });
  }

  #nextUnknown(): string | undefined {
    const { roster } = this.#options;
    const known = new Set([roster.self.address, ...roster.reachable.map(({ address }) => address)]);
    for (const [address, incarnation] of this.#aliases) {
      const member = roster.of(incarnation);
      if (member === roster.self || member?.isReachable) known.add(address);
    }
    for (;;) {
      const address = this.#untried.pop();
      if (address === undefined || !known.has(address)) return address;
    }
  }

  #aliasesOf(incarnation: string): string[] {
    return [...this.#aliases].filter(([, of]) => of === incarnation).map(([address]) => address);
  }
}
