/**
 * Wires one running collector. Opens in this order and closes in the reverse:
 *
 *   claim → metrics → store → ledger, spools, sums (what came since the last save is read again) → status → API → gRPC
 */
import { readFileSync } from 'node:fs';
import { readdir, rename, rm } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { type Health, listen, openStatus } from '../admin/index.ts';
import {
  answerApi,
  Collector,
  HeldLedger,
  Keeper,
  mayReadAll,
  openGrpcServer,
  type ReadToken,
  RollupThread,
  registerCollectorMetrics,
  SegmentLedger,
  type TlsFiles,
} from '../collector/index.ts';
import { Closer, LoopLag, ReeveError, systemClock, systemRandom, systemTimers } from '../core/index.ts';
import { createLog, createMetrics, type Form, type Level, type Log } from '../telemetry/index.ts';
import { Claim, systemDisk } from '../wal/index.ts';
import type { CollectorValues } from './collector-settings.ts';
import { version } from './version.ts';

export interface RunningCollector {
  readonly ports: { readonly grpc: number; readonly http: number; readonly status: number };
  readonly collector: Collector;
  close(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

export interface StartOptions {
  /** Default: lines on standard output. */
  readonly log?: Log;
  /** All sums are made anew from the ledger. */
  readonly isRebuilding?: boolean;
  /** The wall clock is right, whatever it did: what is due by it is deleted. */
  readonly trustsClock?: boolean;
  /** Default: 16 MiB, and 120 s. For who cannot wait for them. */
  readonly small?: { readonly segmentBytes: number; readonly saveMs: number };
  /** It cannot go on, such as when the thread of the sums ended: nothing is answered any more. */
  readonly onDeath?: (cause: Error) => void;
}

/** An export of a year takes a while. */
const ANSWER_MS_MAX = 120_000;
const FIGURES_MS = 10_000;

/** Rejects with a ReeveError that names the place and the remedy; what was opened by then is closed again. */
export async function startCollector(values: CollectorValues, options: StartOptions = {}): Promise<RunningCollector> {
  const closer = new Closer();
  try {
    return await open(values, options, closer);
  } catch (cause) {
    await closer.close().catch(() => {});
    throw cause;
  }
}

async function open(values: CollectorValues, options: StartOptions, closer: Closer): Promise<RunningCollector> {
  const text = (path: string): string => values.get(path) as string;
  const number = (path: string): number => values.get(path) as number;
  const optional = (path: string): string | undefined => values.get(path) as string | undefined;
  const dir = text('dir');
  const log =
    options.log ??
    createLog({
      clock: systemClock,
      level: text('log.level') as Level,
      write: (line) => void process.stdout.write(line),
      base: { 'service.name': 'reeve-collector' },
    });
  // Read anew by each who comes: what is renewed is used.
  const tokens = tokensOf(optional('tokenFile'), log);
  const readTokens = tokensOf(optional('readTokenFile'), log);
  const tls = tlsOf(values);
  if (tokens === undefined && tls?.clientCa === undefined && !isLoopback(text('grpc.host')))
    log.warn('collector.open_to_all', {
      remedy: 'give tokenFile or tls.clientCaFile: whoever reaches the port can report usage',
    });
  if (readTokens === undefined && !isLoopback(text('http.host')))
    log.warn('collector.api_open_to_all', {
      remedy: 'give readTokenFile: whoever reaches the port can read all usage and write spools off',
    });
  const isStatusOpen = !isLoopback(text('status.host'));
  if (readTokens === undefined && isStatusOpen)
    log.warn('collector.metrics_open_to_all', {
      remedy:
        'give readTokenFile, or a status.host on loopback: whoever reaches the port can read what each tenant used',
    });
  const readers = (): readonly ReadToken[] => (readTokens?.() ?? []).map(readToken);
  const lag = new LoopLag({ clock: systemClock, timers: systemTimers });
  closer.add(() => lag.close());
  const metrics = createMetrics({ timers: systemTimers, lag });
  const sums = join(dir, 'sums');
  let isDead = false;
  const onDeath = (cause: Error): void => {
    if (isDead) return;
    isDead = true;
    log.error('collector.cannot_go_on', { cause, remedy: remedyOf(cause) });
    options.onDeath?.(cause);
  };
  let collector: Collector | undefined;
  // Ledger, sums and kept rows together: two processes that share one of them share none.
  const claim = await Claim.take({
    ...{ dir, beatFile: join(dir, 'beat'), lockFile: join(dir, 'lock') },
    ...{ disk: systemDisk, clock: systemClock, timers: systemTimers, random: systemRandom },
    onLost: (cause) => (collector === undefined ? onDeath(cause) : collector.fail(cause)),
  });
  closer.add(() => claim.close());
  if (options.isRebuilding === true) await putAside(sums, join(dir, 'ledger'));
  const store = await RollupThread.open(
    {
      dir: sums,
      memoryBytes: number('memory.query'),
      threads: availableParallelism(),
      keepMinutesS: number('keep.minutes') / 1000,
      keepHoursS: number('keep.hours') / 1000,
    },
    onDeath,
  );
  closer.add(() => store.close());
  collector = await Collector.open({
    clock: systemClock,
    timers: systemTimers,
    log,
    store,
    onDeath,
    creditBytes: number('memory.credit'),
    graceMs: number('seal.grace'),
    patienceMs: number('seal.patience'),
    keepLedgerMs: number('keep.ledger'),
    trustsClock: options.trustsClock === true,
    ...(options.small && { saveMs: options.small.saveMs }),
    openLedger: (from) =>
      new HeldLedger(
        SegmentLedger.open({
          dir: join(dir, 'ledger'),
          disk: systemDisk,
          clock: systemClock,
          from,
          ...(options.small && { segmentBytes: options.small.segmentBytes }),
          onDamage: (damage) => log.error('collector.ledger_damaged', { ...damage }),
        }),
        claim,
      ),
  });
  closer.add(() => collector.close());
  const keeper = Keeper.open({
    dir: join(dir, 'kept'),
    disk: systemDisk,
    clock: systemClock,
    timers: systemTimers,
    random: systemRandom,
    log,
  });
  closer.add(() => keeper.close());
  if (options.isRebuilding === true) await rm(`${sums}.before`, { recursive: true, force: true });

  let figures = await store.figures();
  const look = systemTimers.every(
    FIGURES_MS,
    () =>
      void store.figures().then(
        (now) => (figures = now),
        () => {},
      ),
  );
  closer.add(() => look.cancel());
  const streams = { count: () => 0 };
  registerCollectorMetrics({
    metrics,
    collector,
    keeper,
    streams: () => streams.count(),
    figures: () => figures,
    nowMs: () => systemClock.wallMs(),
  });
  const status = await openStatus({
    host: text('status.host'),
    port: number('status.port'),
    clock: systemClock,
    timers: systemTimers,
    metrics,
    guarded: {
      admits: (authorization) => !isStatusOpen || mayReadAll(readers(), authorization),
      exposition: (form) => tenantsOf(collector, form),
    },
    health: healthOf(collector),
  });
  closer.add(() => status.close());
  const api = {
    version,
    collector,
    store,
    nowMs: () => systemClock.wallMs(),
    graceMs: number('seal.grace'),
    keepMinutesS: number('keep.minutes') / 1000,
    tokens: readers,
  };
  const http = await listen(
    {
      host: text('http.host'),
      port: number('http.port'),
      timers: systemTimers,
      name: 'http',
      bodyBytesMax: 0,
      answerMsMax: ANSWER_MS_MAX,
    },
    (url, { method = 'GET', headers }) =>
      answerApi(api, { method, url, accept: headers.accept ?? '*/*', authorization: headers.authorization }),
  );
  closer.add(() => http.close());
  const grpc = await openGrpcServer({
    host: text('grpc.host'),
    port: number('grpc.port'),
    timers: systemTimers,
    tls,
    tokens: () => tokens?.() ?? [],
    session: (line) => collector.session(line),
    keeper,
  });
  streams.count = () => grpc.streams;
  closer.add(() => grpc.close());
  const ports = { grpc: grpc.port, http: http.port, status: status.port };
  log.info('collector.started', { ports, spools: collector.spools.size, version });
  const close = async (): Promise<void> => {
    await closer.close();
    log.info('collector.stopped');
  };
  return { ports, collector, close, [Symbol.asyncDispose]: close };
}

function remedyOf(cause: Error): string {
  const own = cause instanceof ReeveError ? cause.remedy : undefined;
  return own ?? 'start the collector again: the ledger has everything';
}

function healthOf(collector: Collector): Health {
  const ready = (): readonly string[] => (collector.trouble === undefined ? [] : [collector.trouble]);
  return { live: () => [], ready, started: () => [] };
}

async function* tenantsOf({ totals }: Collector, form: Form): AsyncGenerator<string> {
  for await (const chunk of totals.exposition(form)) {
    yield chunk;
    await systemTimers.yieldLoop();
  }
}

/** A token, and perhaps the tenant that it is for. */
function readToken(line: string): ReadToken {
  const [token = '', tenant] = line.split(/\s+/);
  return { token, tenant };
}

/** Lines of a file, read again when they are asked for; a file that is broken then changes nothing. Undefined: there is none. */
function tokensOf(path: string | undefined, log: Log): (() => readonly string[]) | undefined {
  if (path === undefined) return undefined;
  let known = readTokens(path);
  return () => {
    try {
      known = readTokens(path);
    } catch (cause) {
      log.warn('collector.tokens_kept', { file: path, cause });
    }
    return known;
  };
}

function readTokens(path: string): readonly string[] {
  const lines = readSecret(path)
    .toString()
    .split('\n')
    .map((line) => line.replace(/#.*/, '').trim())
    .filter((line) => line !== '');
  if (lines.length > 0) return lines;
  // No token would be: everybody may.
  throw new ReeveError('collector-file', 'there is no token in it', {
    place: path,
    remedy: 'make one with: openssl rand -hex 32',
  });
}

function tlsOf(values: CollectorValues): TlsFiles | undefined {
  const file = (path: string): Buffer | undefined => {
    const name = values.get(path);
    return name === undefined ? undefined : readSecret(String(name));
  };
  const [cert, key, clientCa] = [file('tls.certFile'), file('tls.keyFile'), file('tls.clientCaFile')];
  return cert === undefined || key === undefined ? undefined : { cert, key, clientCa };
}

function readSecret(path: string): Buffer {
  try {
    return readFileSync(path);
  } catch (cause) {
    throw new ReeveError('collector-file', `cannot be read: ${(cause as NodeJS.ErrnoException).code}`, {
      place: path,
      remedy: 'mount it there',
      cause,
    });
  }
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || host.startsWith('127.');
}

async function namesIn(ledger: string): Promise<string[]> {
  try {
    return await readdir(ledger);
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    if (code === 'ENOENT') return [];
    throw new ReeveError('ledger-unreadable', `it cannot be read: ${code}`, {
      place: ledger,
      remedy: 'let the user of this process read it',
      cause,
    });
  }
}

/** Until the new ones are made, the old ones are kept beside. Throws when there is no ledger that goes back to its beginning. */
async function putAside(sums: string, ledger: string): Promise<void> {
  const [first] = (await namesIn(ledger)).filter((name) => name.endsWith('.wal')).sort();
  if (first === undefined)
    throw new ReeveError('ledger-empty', 'there is nothing in it to make sums from', {
      place: ledger,
      remedy: 'put the ledger back; start without --rebuild where there never was one',
    });
  if (Number.parseInt(first, 10) > 1)
    throw new ReeveError('ledger-begins-late', `it begins with ${first}: what stood before is in the sums alone`, {
      place: ledger,
      remedy: 'do not rebuild; start without --rebuild',
    });
  await rm(`${sums}.before`, { recursive: true, force: true });
  await rename(sums, `${sums}.before`).catch((cause: NodeJS.ErrnoException) => {
    if (cause.code !== 'ENOENT') throw cause;
  });
}
