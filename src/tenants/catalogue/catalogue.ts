/**
 * The objects in force, and how the files of one moment change them. Atomic per object: what is good is taken, what is broken stays
 * on its last good version, and nothing is in force before everything is judged.
 *
 *   files ─▶ judgement ─▶ what is in force ─▶ change
 */
import type { MonotonicMs } from '../../core/index.ts';
import type { Finding, TenantState } from '../model.ts';
import { keyOf } from '../name.ts';
import { type Change, changeOf } from './changes.ts';
import { Holdings } from './holdings.ts';
import { judge, type Moment } from './judgement.ts';
import type { LiveObject } from './live-object.ts';
import { type Kept, keptOf, type LeftOut, leftOutOf } from './parting.ts';
import { type RemovalRules, Removals } from './removals.ts';

/** What is in force now and was not when the last change was made. */
export interface Update extends Change {
  /** Tenants in force. */
  readonly tenants: ReadonlyMap<TenantState, number>;
  readonly findings: readonly Finding[];
  /** How many of all problems, shown or not, are errors. */
  readonly errors: number;
  readonly kept: Kept;
  readonly leftOut: LeftOut;
  /** Objects of vanished files live on until then. */
  readonly nextRemovalAt: MonotonicMs | undefined;
}

export class Catalogue {
  #live: ReadonlyMap<string, LiveObject> = new Map();
  /** What the last change left on the other side. */
  #published: ReadonlyMap<string, LiveObject> = new Map();
  readonly #holdings = { Tenant: new Holdings(), Route: new Holdings() };
  readonly #removals = new Removals();

  get live(): ReadonlyMap<string, LiveObject> {
    return this.#live;
  }

  /** Objects of an earlier process, taken as they are: they were good then. In force with the next update. */
  restore(objects: readonly LiveObject[]): void {
    this.#live = new Map(objects.map((object) => [keyOf(object.kind, object.name), object]));
    for (const { kind, name, holds } of objects)
      if (kind === 'Tenant' || kind === 'Route') this.#holdings[kind].hold(name, holds);
  }

  /**
   * What is in force on the other side, as far as it can be told from there: without documents. In front of a first update, when another
   * catalogue made it so and is lost. It is replaced, kept or removed by the rules for all live objects.
   */
  takeOver(inForce: readonly LiveObject[]): void {
    const live = new Map(inForce.map((object) => [keyOf(object.kind, object.name), object]));
    this.#published = live;
    this.restore([...new Map([...live, ...this.#live]).values()]);
  }

  update(moment: Moment, rules: RemovalRules): Update {
    const ground = { live: this.#live, holdings: this.#holdings, removals: this.#removals };
    const judgement = judge(ground, moment, rules);
    const { next, complaints, moves, nextAt } = judgement;
    for (const { kind, movers, clashes } of moves) this.#holdings[kind].take(movers, clashes);
    this.#live = next;
    const change = changeOf(next, this.#published);
    this.#published = next;
    return {
      ...change,
      tenants: countTenants(next),
      findings: complaints.list(),
      errors: complaints.errors,
      kept: keptOf(judgement),
      leftOut: leftOutOf(judgement),
      nextRemovalAt: nextAt,
    };
  }
}

function countTenants(live: ReadonlyMap<string, LiveObject>): Map<TenantState, number> {
  const counts = new Map<TenantState, number>();
  for (const { state } of live.values()) if (state !== undefined) counts.set(state, (counts.get(state) ?? 0) + 1);
  return counts;
}
