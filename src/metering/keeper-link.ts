/** Rows that a collector keeps for a fleet, over gRPC: one call at a time each way. Loaded where a collector is configured, and only there. */
import type { ServiceError } from '@grpc/grpc-js';
import type { Clock, Timer, Timers } from '../core/index.ts';
import type { CollectorConfig } from '../tenants/index.ts';
import type { KeepReply, RestoreReply } from './generated/metering_pb.js';
import { openClient } from './grpc-client.ts';
import { KEEP, KEEPER_VERSION, type KeptRow, ofWire, RESTORE, toWire } from './keeping.ts';

export interface Kept {
  /** Rows for which there was no room. */
  readonly refused: number;
  /** Another one: nothing that was told before is there. */
  readonly storeId: string;
}

export class KeeperLink {
  readonly #collector: CollectorConfig;
  readonly #fleet: string;
  readonly #clock: Clock;
  readonly #timers: Timers;
  #opened: ReturnType<typeof openClient> | undefined;

  /** `fleet`: its label. */
  constructor(collector: CollectorConfig, fleet: string, clock: Clock, timers: Timers) {
    this.#collector = collector;
    this.#fleet = fleet;
    this.#clock = clock;
    this.#timers = timers;
  }

  /** Resolves when the rows are on the collector's medium. At most 2 MiB of them. Rejects when that is not known within so long. */
  async keep(rows: readonly KeptRow[], withinMs: number): Promise<Kept> {
    const request = { version: KEEPER_VERSION, fleet: this.#fleet, rows: toWire(rows) };
    const { path, requestSerialize, responseDeserialize } = KEEP;
    const reply = await this.#call(
      withinMs,
      ({ client, metadata }, options) =>
        new Promise<KeepReply>((resolve, reject) => {
          const done = (error: ServiceError | null, answer?: KeepReply): void =>
            error === null && answer !== undefined ? resolve(answer) : reject(error);
          client.makeUnaryRequest(path, requestSerialize, responseDeserialize, request, metadata, options, done);
        }),
    );
    return { refused: reply.refused, storeId: Buffer.from(reply.storeId).toString('hex') };
  }

  /**
   * Resolves when all that is kept of the fleet came, in pieces. Rejects when nothing came for `idleMs`, or not all within `withinMs`: many who start at
   * once share what the collector can send.
   */
  restore(onRows: (rows: readonly KeptRow[]) => void, idleMs: number, withinMs: number): Promise<void> {
    const request = { version: KEEPER_VERSION, fleet: this.#fleet };
    const { path, requestSerialize, responseDeserialize } = RESTORE;
    let idle: Timer | undefined;
    const restored = this.#call(
      withinMs,
      ({ client, metadata }, options) =>
        new Promise<void>((resolve, reject) => {
          const wait = (): void => {
            idle?.cancel();
            idle = this.#timers.after(idleMs, () => {
              reject(new Error(`the collector sent no rows for ${idleMs} ms`));
              call.cancel();
            });
          };
          const call = client
            .makeServerStreamRequest(path, requestSerialize, responseDeserialize, request, metadata, options)
            .on('data', ({ rows }: RestoreReply) => {
              wait();
              onRows(ofWire(rows));
            })
            .on('error', reject)
            .on('end', resolve);
          wait();
        }),
    );
    return restored.finally(() => idle?.cancel());
  }

  close(): void {
    this.#opened?.client.close();
    this.#opened = undefined;
  }

  /** Behind a failure the token and the certificates are read again. */
  async #call<T>(
    withinMs: number,
    run: (opened: ReturnType<typeof openClient>, options: { readonly deadline: number }) => Promise<T>,
  ): Promise<T> {
    try {
      this.#opened ??= openClient(this.#collector);
      return await run(this.#opened, { deadline: this.#clock.wallMs() + withinMs });
    } catch (cause) {
      this.close();
      throw cause;
    }
  }
}
