/** A sidecar's end of the stream that tells batches made beforehand, as fast as credit allows. */
import { randomBytes } from 'node:crypto';
import { crc32, zstdCompressSync } from 'node:zlib';
import { Client, type ClientDuplexStream, credentials } from '@grpc/grpc-js';
import { Writer } from '../../src/core/index.ts';
import {
  chainStart,
  type FromCollector,
  type FromSidecar,
  fromSidecar,
  PROTOCOL_VERSION,
  REPORT,
} from '../../src/metering/index.ts';
import { RECORD_BYTES_MAX, type UsageRecord, writeRecord } from '../../src/metering/usage-record.ts';

export interface Batch {
  readonly count: number;
  readonly isFolded: boolean;
  readonly bytes: number;
  readonly crc: number;
  readonly zstd: Buffer;
}

export function pack(payload: Buffer, count: number, isFolded: boolean): Batch {
  return { count, isFolded, bytes: payload.length, crc: crc32(payload), zstd: zstdCompressSync(payload) };
}

export function packRecords(records: readonly UsageRecord[]): Batch {
  const bytes = Buffer.alloc(records.length * RECORD_BYTES_MAX);
  const baseMs = (records[0] as UsageRecord).wallMs;
  let end = 0;
  for (const record of records) end = writeRecord(bytes, end, record, baseMs);
  const writer = new Writer(end + 32);
  writer.varint(baseMs);
  writer.varint(records.length);
  writer.varint(end);
  writer.raw(bytes.subarray(0, end));
  return pack(writer.bytes.subarray(0, writer.offset), records.length, false);
}

export class Teller {
  readonly #client: Client;
  readonly #stream: ClientDuplexStream<FromSidecar, FromCollector>;
  readonly #queue: Batch[] = [];
  #credit = 0;
  #seq = 0;
  #acked = 0;
  #chain: number;
  #wake = (): void => {};
  readonly #welcomed: Promise<void>;
  #failure: Error | undefined;

  /** `alone`: over a connection of its own, as a sidecar's; else of one address all share one. */
  constructor(port: number, service: string, alone = false) {
    const spoolId = randomBytes(16);
    const life = randomBytes(8);
    this.#chain = chainStart({ spoolId: spoolId.toString('hex'), epoch: 1, life: life.toString('hex') });
    this.#client = new Client(`127.0.0.1:${port}`, credentials.createInsecure(), {
      'grpc.use_local_subchannel_pool': alone ? 1 : 0,
    });
    const { path, requestSerialize, responseDeserialize } = REPORT;
    this.#stream = this.#client.makeBidiStreamRequest(path, requestSerialize, responseDeserialize);
    this.#welcomed = new Promise((resolve, reject) => {
      const fail = (cause: Error): void => {
        this.#failure = cause;
        reject(cause);
        this.#wake();
      };
      this.#stream.on('error', fail).on('data', ({ message }: FromCollector) => {
        if (message.case === 'welcome') {
          this.#credit = Number(message.value.creditBytes);
          resolve();
        } else if (message.case === 'ack') this.#acked = Number(message.value.seq);
        else if (message.case === 'credit') this.#credit += Number(message.value.bytes);
        else fail(new Error(`told: ${(message.value as { reason: string }).reason}`));
        this.#pump();
        this.#wake();
      });
    });
    const value = { version: PROTOCOL_VERSION, spoolId, life, epoch: 1n, service, instance: 'bench' };
    this.#stream.write(fromSidecar({ case: 'hello', value }));
  }

  /** Resolves when all of it is acknowledged. */
  async tell(batches: readonly Batch[]): Promise<void> {
    await this.#welcomed;
    const until =
      this.#seq +
      batches.reduce(
        (sum, { count }) => sum + count,
        this.#queue.reduce((sum, { count }) => sum + count, 0),
      );
    this.#queue.push(...batches);
    this.#pump();
    while (this.#acked < until) {
      if (this.#failure !== undefined) throw this.#failure;
      await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }

  /** What a sidecar says each second while it has nothing to tell. */
  heartbeat(): void {
    const value = { watermarkMs: BigInt(Date.now()), spoolBytes: 0n };
    this.#stream.write(fromSidecar({ case: 'heartbeat', value }));
  }

  close(): void {
    this.#stream.on('error', () => {}).cancel();
    this.#client.close();
  }

  #pump(): void {
    for (let next = this.#queue[0]; next !== undefined; next = this.#queue[0]) {
      if (next.zstd.length > this.#credit && this.#seq > this.#acked) return;
      this.#queue.shift();
      this.#send(next);
    }
  }

  #send({ count, isFolded, bytes, crc, zstd }: Batch): void {
    const [from, chainBefore] = [this.#seq + 1, this.#chain];
    this.#seq += count;
    this.#chain = crc32(`${chainBefore}`);
    this.#credit -= zstd.length;
    const place = { epoch: 1n, seqFrom: BigInt(from), seqTo: BigInt(this.#seq), chainBefore, chainAfter: this.#chain };
    const value = { ...place, watermarkMs: BigInt(Date.now()), isFolded, payload: zstd, crc, payloadBytes: bytes };
    this.#stream.write(fromSidecar({ case: 'batch', value }));
  }
}
