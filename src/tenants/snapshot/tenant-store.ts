/**
 * The tenants of one generation by slot. A document is compiled when its tenant is first asked for; until then it is bytes that the
 * collector, which stops the loop, does not see. A generation shares with the one before what did not change. A part of a change is held
 * while one of its tenants is in force.
 */
import type { TenantIndex } from '../../core/index.ts';
import { compileTenant } from '../compile.ts';
import type { Plan, Tenant } from '../model.ts';
import { type PackedTexts, unpack } from '../packed-texts.ts';
import type { TenantDocument } from '../schema.ts';

export class TenantStore {
  readonly #plans: ReadonlyMap<string, Plan>;
  readonly #packed: (PackedTexts | undefined)[];
  /** Which of the texts it is. */
  readonly #at: number[];
  readonly #compiled: (Tenant | undefined)[];

  /** `plans`: of this generation. */
  constructor(plans: ReadonlyMap<string, Plan>, before?: TenantStore) {
    this.#plans = plans;
    this.#packed = before === undefined ? [] : before.#packed.slice();
    this.#at = before === undefined ? [] : before.#at.slice();
    this.#compiled = before === undefined ? [] : before.#compiled.slice();
  }

  /** Of a slot that is taken. */
  get(slot: number): Tenant {
    return this.#compiled[slot] ?? this.#compile(slot);
  }

  /** While the generation is made. Who was asked for before will be again: it is compiled now, so that no request waits for it. */
  put(slot: number, documents: PackedTexts, at: number): void {
    const isInUse = this.#compiled[slot] !== undefined;
    this.#packed[slot] = documents;
    this.#at[slot] = at;
    this.#compiled[slot] = undefined;
    if (isInUse) this.#compile(slot);
  }

  /** While the generation is made. */
  drop(slot: number): void {
    this.#packed[slot] = undefined;
    this.#compiled[slot] = undefined;
  }

  #compile(slot: number): Tenant {
    const packed = this.#packed[slot] as PackedTexts;
    const [source, document] = JSON.parse(unpack(packed, this.#at[slot] as number)) as [string, TenantDocument];
    const plan = this.#plans.get(document.spec.plan) as Plan;
    const tenant = compileTenant(document, slot as TenantIndex, plan, source);
    this.#compiled[slot] = tenant;
    return tenant;
  }
}
