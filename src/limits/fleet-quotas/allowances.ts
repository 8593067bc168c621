/** How far ahead of all that keep something of a hard quota it may be spent here: of the disk and of a collector, where they are, the nearer. */
import type { Line } from '../quotas/account.ts';
import { Allowance } from './allowance.ts';

/** What a crash costs of a limit at most, where bursts need it: a disk is written in milliseconds, in which a burst should not be refused. */
const DISK_BURST_SHARE = 1 / 16;

export class Allowances {
  readonly disk: Allowance;
  readonly collector: Allowance;
  readonly #all: readonly Allowance[];
  /** One for all who wait. */
  #kept: PromiseWithResolvers<void> | undefined;

  constructor() {
    const limit = (line: Line): void => {
      line.cap = Math.min(this.disk.capOf(line), this.collector.capOf(line));
      line.pressAt = Math.min(this.disk.pressAtOf(line), this.collector.pressAtOf(line));
    };
    this.disk = new Allowance(limit, DISK_BURST_SHARE);
    this.collector = new Allowance(limit);
    this.#all = [this.disk, this.collector];
    for (const each of this.#all)
      each.onKept = () => {
        this.#kept?.resolve();
        this.#kept = undefined;
      };
  }

  /** Resolves when more is kept, or nothing has to be. */
  whenKept(): Promise<void> {
    this.#kept ??= Promise.withResolvers();
    return this.#kept.promise;
  }

  open(tenant: string, line: Line): void {
    for (const each of this.#all) each.open(tenant, line);
  }

  asks(line: Line): void {
    for (const each of this.#all) each.asks(line);
  }

  lacks(line: Line, units: number): void {
    for (const each of this.#all) each.lacks(line, units);
  }

  drop(line: Line): void {
    for (const each of this.#all) each.drop(line);
  }
}
