/**
 * State that is pulled from peers whole, at the start and again for ever; and when enough of it is here to be ready.
 *
 *   looks at the seeds ─▶ pulls ─▶ 2 peers, or all there are ─▶ ready
 *                    └─ nobody there ─────────────────────────▶ ready
 */
import type { Roster } from './roster.ts';
import type { Sync } from './sync.ts';

/** Peers whose state makes us ready. */
const PEERS_ENOUGH = 2;
/** Looks at the seeds after which nobody is there, it seems. */
const LOOKS_ENOUGH = 2;

export interface PullingOptions {
  readonly roster: Roster;
  readonly sync: Pick<Sync, 'run'>;
  /** The seeds were asked, and name nobody but us. */
  readonly isNobodyListed: () => boolean;
}

export class Pulling {
  readonly #o: PullingOptions;
  /** Pulls that went through, and those on their way. */
  #pulled = 0;
  #underWay = 0;
  #looks = 0;
  #onReady: (() => void) | undefined;

  constructor(options: PullingOptions) {
    this.#o = options;
  }

  /** `ready` is called once. */
  begin(ready: () => void): void {
    this.#onReady = ready;
  }

  from(address: string, done: (isDone: boolean, incarnation: string) => void): void {
    this.#underWay++;
    this.#o.sync.run(address, (isDone, incarnation) => {
      this.#underWay--;
      if (isDone && incarnation !== this.#o.roster.self.incarnation) this.#pulled++;
      done(isDone, incarnation);
      this.#check();
    });
  }

  fromAny(): void {
    const [peer] = this.#o.roster.sample(1);
    if (peer !== undefined) this.from(peer.address, () => {});
  }

  /** The seeds were looked at. */
  looked(): void {
    this.#looks++;
    this.#check();
  }

  /** Until it is ready. Whom the seeds named may not have listened yet, and is known by now: it is not joined again. */
  again(): void {
    if (this.#onReady === undefined) return;
    this.#check();
    if (this.#onReady !== undefined && this.#pulled === 0 && this.#underWay === 0) this.fromAny();
  }

  #check(): void {
    const others = this.#o.roster.reachable.length;
    const isNobodyThere =
      others === 0 && (this.#looks >= LOOKS_ENOUGH || (this.#looks === 1 && this.#o.isNobodyListed()));
    if (this.#pulled === 0 ? isNobodyThere : this.#pulled >= Math.min(PEERS_ENOUGH, others)) {
      const ready = this.#onReady;
      this.#onReady = undefined;
      ready?.();
    } else if (this.#pulled > 0 && this.#underWay === 0) this.fromAny();
  }
}
