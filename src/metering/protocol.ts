/**
 * The protocol between sidecars and the collector (proto/metering.proto) as gRPC needs it: one method, a stream both ways. Messages are
 * plain objects; positions are bigints in them.
 */
import { create, fromBinary, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import {
  type FromCollector,
  FromCollectorSchema,
  type FromSidecar,
  FromSidecarSchema,
} from './generated/metering_pb.js';

/**
 * - 1: the first. - 2: records may have hop and operation, and be parts of a request.
 *
 * A collector takes what is said in any version up to its own; who says more is refused, and keeps it until the collector is a newer one.
 */
export const PROTOCOL_VERSION = 2;

/** What one side says, before it is a message. */
export type CollectorSays = NonNullable<MessageInitShape<typeof FromCollectorSchema>['message']>;
export type SidecarSays = NonNullable<MessageInitShape<typeof FromSidecarSchema>['message']>;

export function fromCollector(message: CollectorSays): FromCollector {
  return create(FromCollectorSchema, { message });
}

export function fromSidecar(message: SidecarSays): FromSidecar {
  return create(FromSidecarSchema, { message });
}

/** For a gRPC library: deserializers throw for bytes that are no such message. */
export const REPORT = {
  path: '/reeve.metering.v1.Metering/Report',
  requestStream: true,
  responseStream: true,
  requestSerialize: (message: FromSidecar): Buffer => bufferOf(toBinary(FromSidecarSchema, message)),
  requestDeserialize: (bytes: Buffer): FromSidecar => fromBinary(FromSidecarSchema, bytes),
  responseSerialize: (message: FromCollector): Buffer => bufferOf(toBinary(FromCollectorSchema, message)),
  responseDeserialize: (bytes: Buffer): FromCollector => fromBinary(FromCollectorSchema, bytes),
} as const;

export function bufferOf({ buffer, byteOffset, length }: Uint8Array): Buffer {
  return Buffer.from(buffer as ArrayBuffer, byteOffset, length);
}
