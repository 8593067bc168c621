/** The Keeper of proto/metering.proto over gRPC: who may report usage may keep rows, and read those of the fleet that it names. */
import {
  type ServerUnaryCall,
  type ServerWritableStream,
  type sendUnaryData,
  status,
  type UntypedServiceImplementation,
} from '@grpc/grpc-js';
import { KEEP, KEEPER_VERSION, type KeptRow, ofWire, RESTORE, toWire } from '../../metering/index.ts';
import { isFleet } from './kept-rows.ts';

/** Messages of rows are made once for all who read them. */
export const KEEPER_SERVICE = {
  keep: KEEP,
  restore: { ...RESTORE, responseSerialize: (message: Buffer): Buffer => message },
} as const;

/** What the service stands on. */
export interface Keeping {
  readonly storeId: string;
  keep(fleet: string, rows: readonly KeptRow[]): Promise<number>;
  readonly rows: { messages(fleet: string, make: (rows: readonly KeptRow[]) => Buffer): Iterable<Buffer> };
}

type KeepRequest = ReturnType<typeof KEEP.requestDeserialize>;
type KeepReply = Parameters<typeof KEEP.responseSerialize>[0];
type RestoreRequest = ReturnType<typeof RESTORE.requestDeserialize>;
type Failure = { readonly code: status; readonly details: string };

/** `mayCall`: whether the caller has a token, where one is needed; `stranger`: what it is told when not. */
export function keeperHandlers(
  keeping: Keeping,
  mayCall: (call: Pick<ServerUnaryCall<unknown, unknown>, 'metadata'>) => boolean,
  stranger: Failure,
): UntypedServiceImplementation {
  const failureOf = (call: ServerUnaryCall<KeepRequest | RestoreRequest, unknown>): Failure | undefined => {
    if (!mayCall(call)) return stranger;
    if (call.request.version !== KEEPER_VERSION) {
      const details = `this collector keeps rows in version ${KEEPER_VERSION}, not ${call.request.version}`;
      return { code: status.FAILED_PRECONDITION, details };
    }
    if (isFleet(call.request.fleet)) return undefined;
    const details = 'the label of a fleet (gossip.cluster) has 1 to 63 letters of ASCII and no space';
    return { code: status.INVALID_ARGUMENT, details };
  };
  const keep = (call: ServerUnaryCall<KeepRequest, KeepReply>, answer: sendUnaryData<KeepReply>): void => {
    const failure = failureOf(call);
    if (failure !== undefined) return answer(failure);
    keeping.keep(call.request.fleet, ofWire(call.request.rows)).then(
      (refused) => answer(null, { refused, storeId: Buffer.from(keeping.storeId, 'hex') }),
      (cause: Error) => answer({ code: codeOf(cause), details: cause.message }),
    );
  };
  const restore = (call: ServerWritableStream<RestoreRequest, Buffer>): void => {
    const failure = failureOf(call as never);
    if (failure !== undefined) return void call.emit('error', failure);
    void send(call, keeping.rows.messages(call.request.fleet, messageOf));
  };
  return { keep: keep as never, restore: restore as never };
}

/** As fast as it is read. */
async function send(call: ServerWritableStream<RestoreRequest, Buffer>, messages: Iterable<Buffer>): Promise<void> {
  let isGone = false;
  let wake = (): void => {};
  call.on('drain', () => wake());
  for (const end of ['cancelled', 'close', 'error'])
    call.on(end, () => {
      isGone = true;
      wake();
    });
  for (const message of messages) {
    if (isGone) return;
    if (!call.write(message)) await new Promise<void>((resolve) => (wake = resolve));
  }
  if (!isGone) call.end();
}

function messageOf(rows: readonly KeptRow[]): Buffer {
  return RESTORE.responseSerialize({ rows: toWire(rows) });
}

function codeOf(cause: Error): status {
  return cause instanceof RangeError ? status.INVALID_ARGUMENT : status.UNAVAILABLE;
}
