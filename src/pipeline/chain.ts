// hot path
/**
 * The chain reads top to bottom in the order a request meets the stages; a wrong order is a compile error
 * (test/pipeline/order.test.ts). Compiled, it is three arrays and a loop that stays synchronous until it must not.
 *
 *            onRequest ──────────────▶
 *   client ─▶ [stage 0][stage 1][stage 2] ─▶ upstream
 *            ◀────────────── onResponse, onDone
 */
import type { Exchange } from './exchange.ts';
import type { Filter, ResponseHead, Verdict } from './filter.ts';
import type { Outcome } from './outcome.ts';

export interface Chain<Have extends Exchange = Exchange> {
  /** Adds the next stage; a type error when it needs what no earlier stage adds. */
  use<Adds>(filter: Filter<Have, Adds>): Chain<Have & Adds>;
  compile(): Pipeline;
}

/** Told of each throw of a stage; `name` is the stage's. */
export type OnStageThrow = (name: string, cause: unknown) => void;

export interface Pipeline {
  /** Names in order, for `explain` and the admin API. */
  readonly stages: readonly string[];
  /** Runs the request through the stages. Never throws or rejects: a throwing stage denies or is skipped, as it says itself. */
  request(x: Exchange): Verdict | Promise<Verdict>;
  /** Runs a response head back through the stages that saw the request. */
  response(x: Exchange, head: ResponseHead): void;
  /** Ends the exchange for the stages that saw the request. The engine calls it exactly once. */
  done(x: Exchange, outcome: Outcome): void;
}

export function chain(onStageThrow: OnStageThrow): Chain {
  return new Builder([], onStageThrow) as unknown as Chain;
}

class Builder {
  readonly #filters: readonly Filter[];
  readonly #onStageThrow: OnStageThrow;

  constructor(filters: readonly Filter[], onStageThrow: OnStageThrow) {
    this.#filters = filters;
    this.#onStageThrow = onStageThrow;
  }

  use(filter: Filter): Builder {
    return new Builder([...this.#filters, filter], this.#onStageThrow);
  }

  compile(): Pipeline {
    return new CompiledPipeline(this.#filters, this.#onStageThrow);
  }
}

class CompiledPipeline implements Pipeline {
  readonly stages: readonly string[];
  readonly #filters: readonly Filter[];
  readonly #onStageThrow: OnStageThrow;

  constructor(filters: readonly Filter[], onStageThrow: OnStageThrow) {
    this.stages = filters.map((filter) => filter.name);
    this.#filters = filters;
    this.#onStageThrow = onStageThrow;
  }

  request(x: Exchange): Verdict | Promise<Verdict> {
    return this.#requestFrom(x, 0);
  }

  response(x: Exchange, head: ResponseHead): void {
    for (let i = x.entered - 1; i >= 0; i--) {
      const filter = this.#filters[i] as Filter;
      if (filter.onResponse === undefined) continue;
      try {
        filter.onResponse(x, head);
      } catch (cause) {
        this.#onStageThrow(filter.name, cause);
      }
    }
  }

  done(x: Exchange, outcome: Outcome): void {
    for (let i = x.entered - 1; i >= 0; i--) {
      const filter = this.#filters[i] as Filter;
      if (filter.onDone === undefined) continue;
      try {
        filter.onDone(x, outcome);
      } catch (cause) {
        this.#onStageThrow(filter.name, cause);
      }
    }
    x.entered = 0;
  }

  #requestFrom(x: Exchange, from: number): Verdict | Promise<Verdict> {
    for (let i = from; i < this.#filters.length; i++) {
      const filter = this.#filters[i] as Filter;
      x.entered = i + 1;
      if (filter.onRequest === undefined) continue;
      let verdict: Verdict | Promise<Verdict>;
      try {
        verdict = filter.onRequest(x);
      } catch (cause) {
        verdict = this.#thrown(filter, cause);
      }
      if (verdict === undefined) continue;
      if (verdict instanceof Promise) return this.#resume(x, i, verdict);
      return verdict;
    }
    return undefined;
  }

  async #resume(x: Exchange, at: number, pending: Promise<Verdict>): Promise<Verdict> {
    const filter = this.#filters[at] as Filter;
    let verdict: Verdict;
    try {
      verdict = await pending;
    } catch (cause) {
      verdict = this.#thrown(filter, cause);
    }
    return verdict ?? this.#requestFrom(x, at + 1);
  }

  #thrown(filter: Filter, cause: unknown): Verdict {
    this.#onStageThrow(filter.name, cause);
    if (filter.onThrow === 'skip') return undefined;
    return { code: 'stage-failed', detail: `The stage ${filter.name} failed; the request was refused.` };
  }
}
