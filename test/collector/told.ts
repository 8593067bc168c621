/** What a sidecar tells, made by hand, and what it is told. */
import { crc32, zstdCompressSync } from 'node:zlib';
import type { Entry } from '../../src/collector/entry.ts';
import { Writer } from '../../src/core/index.ts';
import {
  type CollectorSays,
  chainStart,
  type FromSidecar,
  fromSidecar,
  type SidecarSays,
} from '../../src/metering/index.ts';
import { RECORD_BYTES_MAX, RecordReader, type UsageRecord, writeRecord } from '../../src/metering/usage-record.ts';
import { Windows } from '../../src/metering/windows.ts';

export const SPOOL = '00112233445566778899aabbccddeeff';
export const LIFE = 'a0a1a2a3a4a5a6a7';
/** Thursday, 2026-09-24 10:13:20 UTC. */
export const T0 = 1_790_244_800_000;

/** A gap of one number, as the ledger has it. */
export function entryOf(more: Partial<Entry> = {}): Entry {
  return {
    kind: 'gap',
    receivedMs: T0,
    spoolId: SPOOL,
    service: 'orders',
    instance: 'pod-1',
    epoch: 1,
    life: LIFE,
    seqFrom: 1,
    seqTo: 1,
    chainBefore: 0,
    chainAfter: 0,
    watermarkMs: T0,
    reason: 'full',
    ...more,
  };
}

export function usage(more: Partial<UsageRecord> = {}): UsageRecord {
  return {
    wallMs: T0,
    tenant: 'acme',
    route: 'orders',
    upstream: '',
    operation: '',
    hop: 0,
    isPart: false,
    outcome: 'ok',
    methodClass: 'read',
    statusClass: 2,
    bytesIn: 10,
    bytesOut: 100,
    durationUs: 5000,
    upstreamUs: 4000,
    units: [],
    traceId: '',
    ...more,
  };
}

/** One run of records, as a batch has it before it is compressed. */
export function runOf(records: readonly UsageRecord[]): Buffer {
  const bytes = Buffer.alloc(records.length * RECORD_BYTES_MAX);
  const baseMs = Math.min(...records.map(({ wallMs }) => wallMs));
  let end = 0;
  for (const record of records) end = writeRecord(bytes, end, record, baseMs);
  const writer = new Writer(end + 32);
  writer.varint(baseMs);
  writer.varint(records.length);
  writer.varint(end);
  writer.raw(bytes.subarray(0, end));
  return writer.bytes.subarray(0, writer.offset);
}

export function windowsOf(records: readonly UsageRecord[], spanMs = 1000): Buffer {
  const windows = new Windows({ spanMs, seriesMax: 100_000, rowsMax: 100_000 });
  const bytes = Buffer.alloc(RECORD_BYTES_MAX);
  const reader = new RecordReader();
  for (const record of records) {
    reader.begin(bytes, 0, writeRecord(bytes, 0, record, record.wallMs));
    reader.next();
    if (!windows.addRecord(reader, record.wallMs)) throw new Error('no room');
  }
  return windows.encode();
}

/** A spool that tells in order: each piece behind the one before. */
export class Teller {
  epoch = 1;
  seq = 0;
  chain: number;
  life = LIFE;
  readonly spool: string;
  readonly service: string;
  watermarkMs = T0;

  constructor(spool: string = SPOOL, service = 'orders') {
    this.spool = spool;
    this.service = service;
    this.chain = chainStart({ spoolId: spool, epoch: 1, life: LIFE });
  }

  /** It was opened again. */
  reopen(life: string): void {
    this.epoch++;
    this.seq = 0;
    this.life = life;
    this.chain = chainStart({ spoolId: this.spool, epoch: this.epoch, life });
  }

  hello(more: object = {}): FromSidecar {
    const value = {
      version: 2,
      spoolId: Buffer.from(this.spool, 'hex'),
      epoch: BigInt(this.epoch),
      life: Buffer.from(this.life, 'hex'),
      service: this.service,
      instance: 'pod-1',
      ...more,
    };
    return message({ case: 'hello', value });
  }

  batch(records: readonly UsageRecord[], more: object = {}): FromSidecar {
    return this.payload(runOf(records), records.length, more);
  }

  folded(records: readonly UsageRecord[], more: object = {}): FromSidecar {
    return this.payload(windowsOf(records), records.length, { isFolded: true, ...more });
  }

  payload(payload: Buffer, count: number, more: object = {}): FromSidecar {
    const value = {
      ...this.#next(count),
      isFolded: false,
      payload: zstdCompressSync(payload),
      crc: crc32(payload),
      payloadBytes: payload.length,
      ...more,
    };
    return message({ case: 'batch', value });
  }

  gap(count: number, reason = 'corrupt', more: object = {}): FromSidecar {
    return message({ case: 'gap', value: { ...this.#next(count), reason, ...more } });
  }

  heartbeat(watermarkMs: number): FromSidecar {
    return message({ case: 'heartbeat', value: { watermarkMs: BigInt(watermarkMs), spoolBytes: 77n } });
  }

  bye(more: object = {}): FromSidecar {
    return message({ case: 'bye', value: { epoch: BigInt(this.epoch), seq: BigInt(this.seq), ...more } });
  }

  #next(count: number): object {
    const seqFrom = this.seq + 1;
    const chainBefore = this.chain;
    this.seq += count;
    this.chain = crc32(`${this.chain}:${this.seq}`);
    return {
      epoch: BigInt(this.epoch),
      seqFrom: BigInt(seqFrom),
      seqTo: BigInt(this.seq),
      chainBefore,
      chainAfter: this.chain,
      watermarkMs: BigInt(this.watermarkMs),
    };
  }
}

export function message(says: SidecarSays): FromSidecar {
  return fromSidecar(says);
}

/** A line that writes down what it was told. */
export class Heard {
  readonly said: CollectorSays[] = [];
  isEnded = false;

  send(says: CollectorSays): void {
    if (this.isEnded) throw new Error('sent behind the end');
    this.said.push(says);
  }

  end(): void {
    this.isEnded = true;
  }

  /** As short texts: `welcome 1:3`, `ack 1:5`, `nack …`. Credit is left out. */
  get words(): string[] {
    return this.said.flatMap((each) => {
      if (each.case === 'welcome' || each.case === 'ack') return [`${each.case} ${each.value.epoch}:${each.value.seq}`];
      if (each.case === 'nack' || each.case === 'fence') return [`${each.case} ${each.value.reason}`];
      return [];
    });
  }
}
