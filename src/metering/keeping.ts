/** How sidecars keep rows at a collector (service Keeper of proto/metering.proto), as gRPC needs it. */
import { create, fromBinary, type MessageInitShape, type MessageShape, toBinary } from '@bufbuild/protobuf';
import {
  type KeepReply,
  KeepReplySchema,
  type KeepRequest,
  KeepRequestSchema,
  type RestoreReply,
  RestoreReplySchema,
  type RestoreRequest,
  RestoreRequestSchema,
} from './generated/metering_pb.js';
import { bufferOf } from './protocol.ts';

/** Of the service. */
export const KEEPER_VERSION = 1;

/** A row as both sides have it. Its key has 1 to 256 bytes, its value at most 64. */
export interface KeptRow {
  readonly key: Uint8Array;
  readonly version: number;
  readonly value: Uint8Array;
  /** Wall ms. */
  readonly untilMs: number;
}

type Wire = NonNullable<MessageInitShape<typeof KeepRequestSchema>['rows']>;

export function toWire(rows: readonly KeptRow[]): Wire {
  return rows.map(({ untilMs, ...row }) => ({ ...row, untilMs: BigInt(untilMs) }));
}

export function ofWire(rows: MessageShape<typeof KeepRequestSchema>['rows']): KeptRow[] {
  return rows.map(({ key, version, value, untilMs }) => ({ key, version, value, untilMs: Number(untilMs) }));
}

/** For a gRPC library: deserializers throw for bytes that are no such message. */
export const KEEP = {
  path: '/reeve.metering.v1.Keeper/Keep',
  requestStream: false,
  responseStream: false,
  requestSerialize: (message: MessageInitShape<typeof KeepRequestSchema>): Buffer =>
    bufferOf(toBinary(KeepRequestSchema, create(KeepRequestSchema, message))),
  requestDeserialize: (bytes: Buffer): KeepRequest => fromBinary(KeepRequestSchema, bytes),
  responseSerialize: (message: MessageInitShape<typeof KeepReplySchema>): Buffer =>
    bufferOf(toBinary(KeepReplySchema, create(KeepReplySchema, message))),
  responseDeserialize: (bytes: Buffer): KeepReply => fromBinary(KeepReplySchema, bytes),
} as const;

export const RESTORE = {
  path: '/reeve.metering.v1.Keeper/Restore',
  requestStream: false,
  responseStream: true,
  requestSerialize: (message: MessageInitShape<typeof RestoreRequestSchema>): Buffer =>
    bufferOf(toBinary(RestoreRequestSchema, create(RestoreRequestSchema, message))),
  requestDeserialize: (bytes: Buffer): RestoreRequest => fromBinary(RestoreRequestSchema, bytes),
  responseSerialize: (message: MessageInitShape<typeof RestoreReplySchema>): Buffer =>
    bufferOf(toBinary(RestoreReplySchema, create(RestoreReplySchema, message))),
  responseDeserialize: (bytes: Buffer): RestoreReply => fromBinary(RestoreReplySchema, bytes),
} as const;
