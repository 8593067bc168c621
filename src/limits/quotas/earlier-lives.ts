/**
 * What earlier lives of this process left on disk: what they counted goes into the stores, and whose it was, and whether the file tells all that its writer did,
 * says what this life may have of theirs.
 *
 *   quotas.log ── is there ─▶ counts, levels, claims ─▶ stores          whole, but for a tail that a crash tore: all that its writer did
 *   quotas.log.behind, else ─▶ the same                                 not all that it did
 */
import type { Log } from '../../telemetry/index.ts';
import type { CounterStore } from './counter-store.ts';
import type { GaugeStore } from './gauge-store.ts';
import { type AheadRow, type ClaimRow, type Damage, readLines } from './log-file.ts';
import type { OwnDisk } from './own-disk.ts';

/** What a full store writes, 2^18 series of 33 days and 2^20 rows, is 0.6 GB; a day that is closed meanwhile writes it twice. */
const FILE_BYTES_MAX = 1.5 * 2 ** 30;

/**
 * What this life is to the one before. - `heir`: that one left, and this may have what it had, and nobody else may any more. - `crashed`: the same, of
 * one that did not say that it leaves: all stands here but what it may have been ahead. - `next`: it follows it, and nobody else does.
 */
export type Inheritance = 'heir' | 'crashed' | 'next';

/** The life before this one. */
export interface LastLife {
  readonly actor: string;
  readonly as: Inheritance;
  /** Of lives before it, one after the other. */
  readonly crashes: number;
  /** How much of windows it may have spent, and had. */
  readonly ahead: readonly AheadRow[];
}

export interface EarlierLivesWorld {
  readonly disk: OwnDisk;
  readonly counters: CounterStore;
  readonly gauges: GaugeStore;
  readonly fleet?: { readonly claims: { readonly refused: number; merge(row: ClaimRow): boolean } } | undefined;
  readonly log: Log;
}

export class EarlierLives {
  readonly #o: EarlierLivesWorld;
  readonly #path: string;
  /** The writer of the file last, behind those before it of which something stands in it. */
  readonly lives: string[] = [];
  /** Who left, and nobody else has its rights; and who said whose all it had is. */
  #ended: string | undefined;
  readonly #willed = new Set<string>();
  #ahead: AheadRow[] = [];
  #crashes = 0;
  /** All that the last did before it ended stands in the file. */
  #isWhole = false;

  constructor(path: string, world: EarlierLivesWorld) {
    this.#path = path;
    this.#o = world;
  }

  get last(): LastLife | undefined {
    const actor = this.lives.at(-1);
    return actor === undefined
      ? undefined
      : { actor, as: this.#inheritanceOf(actor), crashes: this.#crashes, ahead: this.#ahead };
  }

  #inheritanceOf(last: string): Inheritance {
    if (!this.#isWhole) return 'next';
    if (this.#ended === last) return 'heir';
    return this.#willed.has(last) ? 'next' : 'crashed';
  }

  /** How many lives before this one crashed, one after the other: behind one that left in order it begins anew. Of one whose file is not whole nobody knows. */
  get crashes(): number {
    const { last } = this;
    if (last?.as === 'crashed') return last.crashes + 1;
    return last === undefined || this.#isWhole ? 0 : last.crashes;
  }

  /** What the last may have spent is said: it is not needed any more. */
  forgetAhead(): void {
    this.#ahead = [];
  }

  /** Resolves also when nothing can be read. */
  async read(): Promise<void> {
    if (!(await this.#readFile(this.#path, true))) await this.#readFile(`${this.#path}.behind`, false);
  }

  /** Takes what is sound in a file. One that is not whole is kept beside it, for who wants to know what stood there: it is replaced soon. False: there is none. */
  async #readFile(path: string, isOfAll: boolean): Promise<boolean> {
    const { disk, counters, gauges, fleet, log } = this.#o;
    const kept = `${this.#path}.damaged`;
    let damage: Damage | undefined;
    try {
      const size = await disk.size(path);
      if (size > FILE_BYTES_MAX) throw new Error(`it has ${size} bytes, at most ${FILE_BYTES_MAX} are read`);
      damage = readLines(await disk.read(path), {
        count: (row) => void counters.recall(row),
        total: (total) => void counters.restore(total),
        gauge: (row) => void gauges.merge(row),
        claim: (row) => {
          if (row.kind === 'will') this.#willed.add(row.from);
          fleet?.claims.merge(row);
        },
        ahead: (row) => void this.#ahead.push(row),
        life: (actor, crashes) => {
          this.lives.push(actor);
          this.#crashes = crashes;
        },
        end: (actor) => {
          this.#ended = actor;
        },
      });
    } catch (cause) {
      if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return false;
      log.error('quota.log_unreadable', { 'file.path': path, cause, effect: 'what it counted is not known', kept });
      await disk.rename(path, kept).catch(() => {});
      return true;
    }
    // A tail that a crash cut short is what a crash leaves: what stands before it is whole.
    const isExpected = damage === undefined || damage.what === 'torn tail';
    // What found no room is not known either.
    this.#isWhole = isOfAll && isExpected && (fleet?.claims.refused ?? 0) === 0;
    if (damage === undefined) return true;
    log[isExpected ? 'warn' : 'error']('quota.log_damaged', {
      'file.path': path,
      ...damage,
      effect:
        damage.what === 'unknown form' ? 'nothing of it is counted' : 'what stood in these records is not counted',
      ...(isExpected ? {} : { kept }),
    });
    if (!isExpected) await disk.copy(path, kept).catch(() => {});
    return true;
  }
}
