/** A stream to a collector over gRPC. Loaded where a collector is configured, and only there. */
import type { Client, ClientDuplexStream, ServiceError } from '@grpc/grpc-js';
import type { CollectorConfig } from '../tenants/index.ts';
import type { FromSidecar as ToCollector, FromCollector as ToSidecar } from './generated/metering_pb.js';
import { openClient } from './grpc-client.ts';
import type { FromCollector, FromSidecar } from './messages.ts';
import { fromSidecar, PROTOCOL_VERSION, REPORT, type SidecarSays } from './protocol.ts';
import type { Link, LinkEvents } from './sender-ports.ts';

const CLOSE_WHY_MAX = 300;
/** gRPC ends what it says with a note, also when there is none. */
const EMPTY_NOTE = /\.? Resolution note: *$/;

/** Files are read again by each connection, so what is renewed is used. `onClose` is never called before this returned. */
export function connectCollector(collector: CollectorConfig, events: LinkEvents): Link {
  try {
    return new GrpcLink(collector, events);
  } catch (cause) {
    queueMicrotask(() => events.onClose(String((cause as Error).message)));
    return { send: () => true, end() {}, cut() {} };
  }
}

class GrpcLink implements Link {
  readonly #client: Client;
  readonly #stream: ClientDuplexStream<ToCollector, ToSidecar>;

  constructor(collector: CollectorConfig, events: LinkEvents) {
    const { client, metadata } = openClient(collector);
    this.#client = client;
    const { path, requestSerialize, responseDeserialize } = REPORT;
    this.#stream = this.#client.makeBidiStreamRequest(path, requestSerialize, responseDeserialize, metadata);
    let isClosed = false;
    const close = (why: string): void => {
      if (isClosed) return;
      isClosed = true;
      this.#client.close();
      events.onClose(why.replace(EMPTY_NOTE, '').slice(0, CLOSE_WHY_MAX));
    };
    this.#stream
      .on('data', (message: ToSidecar) => {
        const read = readMessage(message);
        if (read !== undefined) events.onMessage(read);
      })
      .on('drain', () => events.onDrain())
      .on('error', (error: ServiceError) => close(error.details || error.message))
      .on('end', () => close('the collector ended the stream'));
  }

  send(message: FromSidecar): boolean {
    return this.#stream.write(fromSidecar(says(message)));
  }

  end(): void {
    this.#stream.end();
  }

  cut(): void {
    this.#stream.cancel();
    this.#client.close();
  }
}

function says(message: FromSidecar): SidecarSays {
  switch (message.kind) {
    case 'hello': {
      const { spoolId, epoch, life, service, instance } = message;
      const ids = { spoolId: Buffer.from(spoolId, 'hex'), life: Buffer.from(life, 'hex') };
      return { case: 'hello', value: { version: PROTOCOL_VERSION, ...ids, epoch: BigInt(epoch), service, instance } };
    }
    case 'batch': {
      const { isFolded, payload, crc, payloadBytes } = message;
      return { case: 'batch', value: { ...rangeOf(message), isFolded, payload, crc, payloadBytes } };
    }
    case 'gap':
      return { case: 'gap', value: { ...rangeOf(message), reason: message.reason } };
    case 'heartbeat':
      return {
        case: 'heartbeat',
        value: { watermarkMs: BigInt(message.watermarkMs), spoolBytes: BigInt(message.spoolBytes) },
      };
    case 'bye':
      return { case: 'bye', value: { epoch: BigInt(message.epoch), seq: BigInt(message.seq) } };
  }
}

function rangeOf(range: Extract<FromSidecar, { kind: 'batch' | 'gap' }>) {
  return {
    epoch: BigInt(range.epoch),
    seqFrom: BigInt(range.seqFrom),
    seqTo: BigInt(range.seqTo),
    chainBefore: range.chainBefore,
    chainAfter: range.chainAfter,
    watermarkMs: BigInt(range.watermarkMs),
  };
}

/** Undefined: of a kind that this version does not know. */
function readMessage({ message }: ToSidecar): FromCollector | undefined {
  switch (message.case) {
    case 'welcome': {
      const { epoch, seq, chain, creditBytes } = message.value;
      return { kind: 'welcome', epoch: Number(epoch), seq: Number(seq), chain, creditBytes: Number(creditBytes) };
    }
    case 'ack':
      return { kind: 'ack', epoch: Number(message.value.epoch), seq: Number(message.value.seq) };
    case 'credit':
      return { kind: 'credit', bytes: Number(message.value.bytes) };
    case 'nack':
    case 'fence':
      return { kind: message.case, reason: message.value.reason };
    default:
      return undefined;
  }
}
