/**
 * A pool that is opened when it is first used. Nearly all requests are the fast engine's, and a sidecar that never hands one over never
 * loads undici: 7 MiB. The first that is handed over waits for it, some 15 ms.
 */
import type { Pool } from 'undici';
import type { Carried, UpstreamPool } from './upstream-pool.ts';

export class LazyPool implements UpstreamPool {
  readonly #origin: string;
  readonly #options: Omit<Pool.Options, 'factory' | 'pipelining'>;
  #opening: Promise<UpstreamPool> | undefined;
  #pool: UpstreamPool | undefined;

  constructor(origin: string, options: Omit<Pool.Options, 'factory' | 'pipelining'>) {
    this.#origin = origin;
    this.#options = options;
  }

  dispatch(options: Parameters<UpstreamPool['dispatch']>[0], handler: Carried): boolean {
    if (this.#pool !== undefined) return this.#pool.dispatch(options, handler);
    this.#opening ??= this.#open();
    this.#opening
      .then((pool) => pool.dispatch(options, handler))
      .catch((cause: Error) => {
        // Such as no descriptor left to read the module by: the next request tries again.
        if (this.#pool === undefined) this.#opening = undefined;
        handler.onResponseError?.(null as never, cause);
      });
    return true;
  }

  async destroy(): Promise<void> {
    await this.#opening?.then((pool) => pool.destroy()).catch(() => {});
  }

  async #open(): Promise<UpstreamPool> {
    const { openPool } = await import('./upstream-pool.ts');
    this.#pool = openPool(this.#origin, this.#options);
    return this.#pool;
  }
}
