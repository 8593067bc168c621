/**
 * The streams of the sidecars over gRPC: each call is a session's line. What comes has a bound before it is a message, and a caller without
 * the token is refused before its first.
 */
import { createHash, timingSafeEqual } from 'node:crypto';
import {
  type Server as GrpcServer,
  Server,
  ServerCredentials,
  type ServerDuplexStream,
  status,
  type UntypedServiceImplementation,
} from '@grpc/grpc-js';
import { ReeveError, type Timers } from '../core/index.ts';
import { type FromCollector, type FromSidecar, fromCollector, REPORT } from '../metering/index.ts';
import { KEEPER_SERVICE, type Keeping, keeperHandlers } from './kept/keeper-service.ts';
import type { Line, Session } from './session.ts';

/** The largest batch, and what stands around it. */
const MESSAGE_BYTES_MAX = 2 * 2 ** 20;
/** A sidecar that is gone without a word is noticed within a minute. */
const KEEPALIVE = { time: 30_000, timeout: 20_000 };
/** A stream that has not said Hello by then is ended, ms: a sidecar says it at once. */
const HELLO_MS = 10_000;
/** Streams of one connection: a sidecar has one. */
const STREAMS_MAX = 16;
const STRANGER = { code: status.UNAUTHENTICATED, details: 'a token of this collector is needed' };

export interface TlsFiles {
  readonly cert: Buffer;
  readonly key: Buffer;
  /** Of the clients; undefined: they need no certificate. */
  readonly clientCa: Buffer | undefined;
}

export interface GrpcServerOptions {
  readonly timers: Timers;
  readonly host: string;
  readonly port: number;
  readonly tls: TlsFiles | undefined;
  /** Any one of them is good; none: nobody is asked for one. */
  readonly tokens: () => readonly string[];
  readonly session: (line: Line) => Session;
  readonly keeper: Keeping;
}

export interface RunningGrpcServer {
  readonly port: number;
  /** Streams now. */
  readonly streams: number;
  close(): Promise<void>;
}

type Call = ServerDuplexStream<FromSidecar, FromCollector>;

export async function openGrpcServer(o: GrpcServerOptions): Promise<RunningGrpcServer> {
  const server = new Server({
    'grpc.max_receive_message_length': MESSAGE_BYTES_MAX,
    'grpc.max_concurrent_streams': STREAMS_MAX,
    'grpc.keepalive_time_ms': KEEPALIVE.time,
    'grpc.keepalive_timeout_ms': KEEPALIVE.timeout,
    // It is no service to be looked into by others.
    'grpc.enable_channelz': 0,
  });
  const calls = new Set<Call>();
  const mayCall = ({ metadata }: Pick<Call, 'metadata'>): boolean =>
    isAllowed(o.tokens(), metadata.get('authorization')[0]);
  const report = (call: Call): void => {
    if (!mayCall(call)) return void call.emit('error', STRANGER);
    calls.add(call);
    serve(call, o, () => calls.delete(call));
  };
  const handlers: UntypedServiceImplementation = { report: report as never };
  server.addService({ report: REPORT }, handlers);
  server.addService(KEEPER_SERVICE, keeperHandlers(o.keeper, mayCall, STRANGER));
  const port = await bind(server, o);
  return {
    port,
    get streams() {
      return calls.size;
    },
    close: () => closeServer(server, calls, o.timers),
  };
}

function serve(call: Call, o: GrpcServerOptions, onEnd: () => void): void {
  let isOver = false;
  const session = o.session({
    send(message) {
      if (!isOver) call.write(fromCollector(message));
    },
    end() {
      if (!isOver) call.end();
      isOver = true;
      // What is still on its way is let go by.
      call.resume();
    },
  });
  const late = o.timers.after(HELLO_MS, () => session.hurry());
  const over = (): void => {
    isOver = true;
    late.cancel();
    session.close();
    onEnd();
  };
  call.on('data', (message: FromSidecar) => {
    if (!isOver) session.receive(message);
  });
  call.on('end', () => {
    session.close();
    if (!isOver) call.end();
    over();
  });
  call.on('cancelled', over);
  call.on('close', over);
  call.on('error', over);
}

/** Compared as sums: equally long, and in the same time wherever they differ. */
function isAllowed(tokens: readonly string[], given: unknown): boolean {
  if (tokens.length === 0) return true;
  if (typeof given !== 'string') return false;
  const sum = (text: string): Buffer => createHash('sha256').update(text).digest();
  const asked = sum(given);
  // All are looked at, whichever fits.
  return tokens.filter((token) => timingSafeEqual(sum(`Bearer ${token}`), asked)).length > 0;
}

function bind(server: GrpcServer, { host, port, tls }: GrpcServerOptions): Promise<number> {
  const failed = (cause: Error): ReeveError =>
    new ReeveError('listen-failed', `cannot listen for sidecars: ${cause.message}`, {
      place: `${host}:${port}`,
      remedy: 'choose another port with --grpc-port',
      cause,
    });
  let credentials: ServerCredentials;
  try {
    credentials =
      tls === undefined
        ? ServerCredentials.createInsecure()
        : ServerCredentials.createSsl(
            tls.clientCa ?? null,
            [{ cert_chain: tls.cert, private_key: tls.key }],
            tls.clientCa !== undefined,
          );
  } catch (cause) {
    throw failed(cause as Error);
  }
  const address = host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
  return new Promise((resolve, reject) =>
    server.bindAsync(address, credentials, (cause, bound) => (cause === null ? resolve(bound) : reject(failed(cause)))),
  );
}

/** Streams were ended by their sessions; what does not go by itself is cut. */
const CLOSE_MS = 1000;

function closeServer(server: GrpcServer, calls: ReadonlySet<Call>, timers: Timers): Promise<void> {
  for (const call of calls) call.end();
  return new Promise((resolve) => {
    const cut = timers.after(CLOSE_MS, () => server.forceShutdown());
    server.tryShutdown(() => {
      cut.cancel();
      resolve();
    });
  });
}
