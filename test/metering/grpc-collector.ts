/** The reference collector behind a real gRPC server on loopback. */
import { zstdDecompressSync } from 'node:zlib';
import { Server, ServerCredentials, type ServerDuplexStream } from '@grpc/grpc-js';
import {
  type CollectorSays,
  fromCollector,
  REPORT,
  type FromCollector as ToSidecar,
  type FromSidecar as Wire,
} from '../../src/metering/index.ts';
import type { FromCollector, FromSidecar } from '../../src/metering/messages.ts';
import { readRuns } from '../../src/metering/runs.ts';
import { readKey, type UsageKey } from '../../src/metering/usage-record.ts';
import type { Ending } from '../helpers/sidecar.ts';
import { ReferenceCollector } from './reference-collector.ts';

type Stream = ServerDuplexStream<Wire, ToSidecar>;

export interface GrpcCollector {
  readonly collector: ReferenceCollector;
  readonly address: string;
  /** What each stream was asked with. */
  readonly authorizations: (string | undefined)[];
  readonly heard: FromSidecar[];
  /** Says it on the stream that is there. */
  say(message: FromCollector): void;
  /** Says a message of no kind. */
  sayNothing(): void;
  /** Ends the stream that is there. */
  end(): void;
  /** Records in the ledger, in order. */
  records(): Record[];
  close(): Promise<void>;
}

export interface Record extends UsageKey {
  readonly bytesIn: number;
  readonly bytesOut: number;
  readonly durationUs: number;
  readonly units: readonly { readonly meter: string; readonly units: number }[];
}

export async function grpcCollector(
  t: Ending,
  o: { port?: number; collector?: ReferenceCollector; credentials?: ServerCredentials } = {},
): Promise<GrpcCollector> {
  const collector = o.collector ?? new ReferenceCollector();
  const heard: FromSidecar[] = [];
  const authorizations: (string | undefined)[] = [];
  let stream: Stream | undefined;
  const say = (message: FromCollector): void => void stream?.write(fromCollector(saysOf(message)));
  const server = new Server();
  const service = {
    Report: { ...REPORT, originalName: 'report' },
  };
  server.addService(service as unknown as Parameters<Server['addService']>[0], {
    Report(each: Stream) {
      stream = each;
      authorizations.push(each.metadata.get('authorization')[0]?.toString());
      collector.say = say;
      each
        .on('data', (wire: Wire) => {
          const message = messageOf(wire);
          heard.push(message);
          collector.hear(message);
          collector.commit();
        })
        .on('end', () => each.end())
        .on('error', () => {});
    },
  });
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync(`127.0.0.1:${o.port ?? 0}`, o.credentials ?? ServerCredentials.createInsecure(), (error, bound) =>
      error === null ? resolve(bound) : reject(error),
    ),
  );
  const close = async (): Promise<void> => {
    collector.disconnect();
    server.forceShutdown();
  };
  t.teardown(close);
  return {
    collector,
    address: `127.0.0.1:${port}`,
    authorizations,
    heard,
    say,
    sayNothing: () => void stream?.write(fromCollector({ case: undefined } as unknown as CollectorSays)),
    end: () => stream?.end(),
    records: () => recordsOf(collector),
    close,
  };
}

export function recordsOf(collector: ReferenceCollector): Record[] {
  const records: Record[] = [];
  for (const each of collector.ledger) {
    if (each.kind === 'gap' || each.isFolded) continue;
    readRuns(zstdDecompressSync(each.payload), ({ bytes, keyFrom, bytesIn, bytesOut, durationUs, units }) => {
      records.push({ ...readKey(bytes, keyFrom), bytesIn, bytesOut, durationUs, units });
      return true;
    });
  }
  return records;
}

function messageOf({ message }: Wire): FromSidecar {
  switch (message.case) {
    case 'hello': {
      const { spoolId, life, epoch, service, instance } = message.value;
      const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
      return { kind: 'hello', spoolId: hex(spoolId), life: hex(life), epoch: Number(epoch), service, instance };
    }
    case 'batch': {
      const { isFolded, payload, crc, payloadBytes } = message.value;
      return { kind: 'batch', ...rangeOf(message.value), isFolded, payload: Buffer.from(payload), crc, payloadBytes };
    }
    case 'gap':
      return { kind: 'gap', ...rangeOf(message.value), reason: message.value.reason as 'full' };
    case 'heartbeat': {
      const { watermarkMs, spoolBytes } = message.value;
      return { kind: 'heartbeat', watermarkMs: Number(watermarkMs), spoolBytes: Number(spoolBytes) };
    }
    case 'bye':
      return { kind: 'bye', epoch: Number(message.value.epoch), seq: Number(message.value.seq) };
    default:
      throw new Error(`an unknown message: ${message.case}`);
  }
}

function rangeOf(range: Extract<Wire['message'], { case: 'batch' | 'gap' }>['value']) {
  const { epoch, seqFrom, seqTo, chainBefore, chainAfter, watermarkMs } = range;
  const numbers = {
    epoch: Number(epoch),
    seqFrom: Number(seqFrom),
    seqTo: Number(seqTo),
    watermarkMs: Number(watermarkMs),
  };
  return { ...numbers, chainBefore, chainAfter };
}

function saysOf(message: FromCollector): CollectorSays {
  switch (message.kind) {
    case 'welcome': {
      const { epoch, seq, chain, creditBytes } = message;
      return {
        case: 'welcome',
        value: { epoch: BigInt(epoch), seq: BigInt(seq), chain, creditBytes: BigInt(creditBytes) },
      };
    }
    case 'ack':
      return { case: 'ack', value: { epoch: BigInt(message.epoch), seq: BigInt(message.seq) } };
    case 'credit':
      return { case: 'credit', value: { bytes: BigInt(message.bytes) } };
    default:
      return { case: message.kind, value: { reason: message.reason } };
  }
}
