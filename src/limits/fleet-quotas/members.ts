/** Who takes part, as gossip tells it: an actor of quotas is an incarnation of gossip. Bound: the members gossip remembers. */
import type { Member } from '../../gossip/index.ts';
import type { Surroundings } from '../fleet/attendance.ts';

export class Members {
  readonly self: string;
  /** Nobody else can be there: nothing has to be waited for. */
  readonly isLone: boolean;
  /** How often anything of a member changed. */
  changes = 0;
  readonly #bySlot = new Map<number, Member>();
  #surroundings: Surroundings = { expected: 1, isIsolated: false, isFound: true };

  constructor(self: string, isLone = false) {
    this.self = self;
    this.isLone = isLone;
  }

  /** By whom the fleet is known. */
  follow(surroundings: Surroundings): void {
    this.#surroundings = surroundings;
  }

  /** Its state changes with what is known. */
  note(member: Member): void {
    this.#bySlot.set(member.slot, member);
    this.changes++;
  }

  forget(slot: number): void {
    this.#bySlot.delete(slot);
    this.changes++;
  }

  /** Those that can be talked to, this one included, in the order of their incarnations. */
  get reachable(): string[] {
    const alive = [...this.#bySlot.values()].filter(
      ({ slot, state }) => slot !== 0 && (state === 'alive' || state === 'suspect'),
    );
    return [this.self, ...alive.map(({ incarnation }) => incarnation)].sort();
  }

  /** Those of whom gossip carries what they told, this one included: the dead too, for a while. */
  get remembered(): ReadonlySet<string> {
    return new Set([this.self, ...[...this.#bySlot.values()].map(({ incarnation }) => incarnation)]);
  }

  /** How many are there, this one included, of how many that should be. */
  get seen(): { readonly members: number; readonly expected: number } {
    return { members: this.#alive, expected: this.#all };
  }

  /** Most of those that should be there answer; who is doubted does not count. */
  get isMost(): boolean {
    return this.isSure && 2 * this.#alive > this.#all;
  }

  /** Nobody is missing or doubted. */
  get isComplete(): boolean {
    return this.isSure && this.#alive >= this.#all;
  }

  /** Who should be there is known. */
  get isSure(): boolean {
    const { isFound, isIsolated } = this.#surroundings;
    return isFound && !isIsolated;
  }

  get #all(): number {
    return Math.max(this.#surroundings.expected, this.reachable.length);
  }

  /** This one included. */
  get #alive(): number {
    return 1 + [...this.#bySlot.values()].filter(({ slot, state }) => slot !== 0 && state === 'alive').length;
  }

  /** Nobody else is expected. */
  get isAlone(): boolean {
    return this.isSure && this.#all === 1;
  }
}
