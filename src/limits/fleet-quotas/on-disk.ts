/**
 * What this sidecar's disk has of rights: so a next life that finds it knows all that this one gave away, and how much it spent at most.
 *
 *   given, left, spent ─▶ say ─▶ lines of quotas.log ─ synced ─▶ wrote ─▶ told to the others; more may be spent (allowance.ts)
 *
 * Where there is no disk, or it refuses and what stood there was set aside, nothing waits for it.
 */
import type { AheadRow, KeptOnDisk } from '../quotas/own-log.ts';
import type { Allowance, Said } from './allowance.ts';

export class OnDisk implements KeptOnDisk {
  onPress: () => void = () => {};
  /** The version of claims up to which they stand there. */
  upTo: number = Number.POSITIVE_INFINITY;
  readonly #allowance: Allowance;
  #said: Said[] = [];
  /** Who leaves. */
  #waiting: (() => void)[] = [];

  constructor(allowance: Allowance) {
    this.#allowance = allowance;
    allowance.onPress = () => this.onPress();
  }

  get isTouched(): boolean {
    return this.#allowance.isTouched;
  }

  await(): void {
    this.upTo = -1;
    this.#allowance.become('shut');
  }

  follow(crashes: number): void {
    this.#allowance.follow(crashes);
  }

  say(isAll: boolean): AheadRow[] {
    const said = this.#allowance.say(isAll);
    this.#said.push(...said);
    return said
      .map(({ line, tenant, from, most, spent }) => ({
        tenant,
        meter: line.quota.meter,
        day: from,
        units: most,
        spent,
      }))
      .filter(({ units }) => units > 0);
  }

  bind(claims: number): void {
    if (this.upTo === Number.POSITIVE_INFINITY) this.#hold(claims);
  }

  wrote(claims: number): void {
    this.#hold(claims);
    this.#said = [];
  }

  #hold(claims: number): void {
    this.#allowance.confirm(this.#said);
    this.#allowance.become('held');
    this.#become(claims);
  }

  lost(): void {
    this.#said = [];
  }

  giveUp(): void {
    this.#allowance.forget();
    this.#allowance.become('free');
    this.#become(Number.POSITIVE_INFINITY);
  }

  /** Resolves when something more stands there, or nothing waits for it any more. */
  written(): Promise<void> {
    return new Promise((resolve) => void this.#waiting.push(resolve));
  }

  #become(upTo: number): void {
    this.upTo = upTo;
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const each of waiting) each();
  }
}
