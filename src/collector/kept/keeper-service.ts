/** The Keeper of proto/metering.proto over gRPC: who may report usage may keep rows, and read those of the fleet that it names. */
import {
  type ServerUnaryCall,
  type ServerWritableStream,
  type sendUnaryData,
  status,
  type UntypedServiceImplementation,
} from '@grpc/grpc-js';
import { type KEEP, KEEPER_VERSION, type KeptRow, ofWire, type RESTORE, toWire } from '../../metering/index.ts';

/** Of a message, with room for what is around its rows: a sidecar takes 64 KiB. */
const REPLY_BYTES_MAX = 32 * 1024;
/** Around a row. */
const ROW_BYTES = 32;

/** What the service stands on. */
export interface Keeping {
  readonly storeId: string;
  keep(fleet: string, rows: readonly KeptRow[]): Promise<number>;
  readonly rows: { of(fleet: string): Iterable<KeptRow> };
}

type KeepRequest = ReturnType<typeof KEEP.requestDeserialize>;
type KeepReply = Parameters<typeof KEEP.responseSerialize>[0];
type RestoreRequest = ReturnType<typeof RESTORE.requestDeserialize>;
type RestoreReply = Parameters<typeof RESTORE.responseSerialize>[0];
type Failure = { readonly code: status; readonly details: string };

/** `mayCall`: whether the caller has a token, where one is needed; `stranger`: what it is told when not. */
export function keeperHandlers(
  keeping: Keeping,
  mayCall: (call: Pick<ServerUnaryCall<unknown, unknown>, 'metadata'>) => boolean,
  stranger: Failure,
): UntypedServiceImplementation {
  const failureOf = (call: ServerUnaryCall<KeepRequest | RestoreRequest, unknown>): Failure | undefined => {
    if (!mayCall(call)) return stranger;
    if (call.request.version === KEEPER_VERSION) return undefined;
    const details = `this collector keeps rows in version ${KEEPER_VERSION}, not ${call.request.version}`;
    return { code: status.FAILED_PRECONDITION, details };
  };
  const keep = (call: ServerUnaryCall<KeepRequest, KeepReply>, answer: sendUnaryData<KeepReply>): void => {
    const failure = failureOf(call);
    if (failure !== undefined) return answer(failure);
    keeping.keep(call.request.fleet, ofWire(call.request.rows)).then(
      (refused) => answer(null, { refused, storeId: Buffer.from(keeping.storeId, 'hex') }),
      (cause: Error) => answer({ code: codeOf(cause), details: cause.message }),
    );
  };
  const restore = (call: ServerWritableStream<RestoreRequest, RestoreReply>): void => {
    const failure = failureOf(call as never);
    if (failure !== undefined) return void call.emit('error', failure);
    void send(call, keeping.rows.of(call.request.fleet));
  };
  return { keep: keep as never, restore: restore as never };
}

/** As fast as it is read. */
async function send(call: ServerWritableStream<RestoreRequest, RestoreReply>, rows: Iterable<KeptRow>): Promise<void> {
  let isGone = false;
  let wake = (): void => {};
  call.on('drain', () => wake());
  for (const end of ['cancelled', 'close', 'error'])
    call.on(end, () => {
      isGone = true;
      wake();
    });
  for (const piece of piecesOf(rows)) {
    if (isGone) return;
    if (!call.write({ rows: toWire(piece) })) await new Promise<void>((resolve) => (wake = resolve));
  }
  if (!isGone) call.end();
}

function* piecesOf(rows: Iterable<KeptRow>): Generator<KeptRow[]> {
  let piece: KeptRow[] = [];
  let bytes = 0;
  for (const row of rows) {
    piece.push(row);
    bytes += row.key.length + row.value.length + ROW_BYTES;
    if (bytes < REPLY_BYTES_MAX) continue;
    yield piece;
    piece = [];
    bytes = 0;
  }
  if (piece.length > 0) yield piece;
}

function codeOf(cause: Error): status {
  return cause instanceof RangeError ? status.INVALID_ARGUMENT : status.UNAVAILABLE;
}
