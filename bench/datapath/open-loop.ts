/**
 * An open-loop generator: `node open-loop.ts CONFIG.json` sends at a fixed rate, whatever the answers do, and prints one line of JSON.
 * A request's latency counts from the moment it was meant to be sent, so that a system that stalls pays for every request that had
 * to wait behind the stall (coordinated omission). A thread keeps the time: timers of the loop know whole milliseconds only.
 *
 *   ticker thread ──tick──▶ due requests ──▶ free connection, else queue ──▶ answer ──▶ histogram
 */
import { readFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { PerformanceObserver } from 'node:perf_hooks';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { type Counts, Histogram } from './histogram.ts';

export interface OpenLoopConfig {
  readonly port: number;
  readonly perSec: number;
  readonly seconds: number;
  readonly connections: number;
  readonly credentialsFile: string;
  readonly orderFile: string;
  readonly header: string;
  readonly prefix: string;
}

export interface OpenLoopResult {
  readonly requests: number;
  readonly wrong: number;
  readonly p50Us: number;
  readonly p99Us: number;
  readonly p999Us: number;
  /** How late the generator itself was, which is in every latency: the alarm for a disturbed run. */
  readonly lateP99Us: number;
  /** Garbage collections while it sent, each of which holds it. */
  readonly collections: number;
}

/** With all latencies of the window, so that several can be one. */
export interface OpenLoopWindow extends OpenLoopResult {
  readonly latencies: Counts;
}

/** The first part warms the connections, the caches and the compiler of this program, and is not counted. */
const WARM_SHARE = 0.2;

const nowUs = (): number => Number(process.hrtime.bigint() / 1000n);

/** One request at a time; knows just enough HTTP to see where an answer with a Content-Length ends. */
class Connection {
  readonly #socket: Socket;
  readonly #onAnswer: (connection: Connection, meantUs: number, isGood: boolean) => void;
  #meantUs = 0;
  #status = 0;
  /** Bytes of the answer to come; -1 before its head is complete. */
  #left = -1;
  #head = '';

  constructor(port: number, onAnswer: (connection: Connection, meantUs: number, isGood: boolean) => void) {
    this.#onAnswer = onAnswer;
    this.#socket = connect({ port, host: '127.0.0.1', noDelay: true });
    this.#socket.on('data', (chunk) => this.#read(chunk));
    this.#socket.on('error', (cause) => {
      throw cause;
    });
  }

  send(request: string, meantUs: number): void {
    this.#meantUs = meantUs;
    this.#socket.write(request, 'latin1');
  }

  destroy(): void {
    this.#socket.destroy();
  }

  #read(chunk: Buffer): void {
    if (this.#left >= 0) this.#left -= chunk.length;
    else {
      this.#head += chunk.toString('latin1');
      const end = this.#head.indexOf('\r\n\r\n');
      if (end === -1) return;
      this.#status = Number(this.#head.slice(9, 12));
      const length = /\r\ncontent-length: *(\d+)/i.exec(this.#head)?.[1];
      if (length === undefined) throw new Error(`an answer without a length: ${this.#head.slice(0, end)}`);
      this.#left = end + 4 + Number(length) - this.#head.length;
    }
    if (this.#left > 0) return;
    const isGood = this.#status === 200 && this.#left === 0;
    this.#left = -1;
    this.#head = '';
    this.#onAnswer(this, this.#meantUs, isGood);
  }
}

async function run(config: OpenLoopConfig): Promise<OpenLoopWindow> {
  const next = requestsOf(config);
  const latency = new Histogram();
  const lateness = new Histogram();
  const total = Math.round(config.perSec * config.seconds);
  const warm = Math.round(total * WARM_SHARE);
  const waiting: number[] = [];
  const free: Connection[] = [];
  let sent = 0;
  let answered = 0;
  let wrong = 0;
  const { promise, resolve } = Promise.withResolvers<void>();
  const onAnswer = (connection: Connection, meantUs: number, isGood: boolean): void => {
    if (!isGood) wrong++;
    if (++answered > warm) latency.add(nowUs() - meantUs);
    const meantNext = waiting.shift();
    if (meantNext === undefined) free.push(connection);
    else connection.send(next(), meantNext);
    if (answered === total) resolve();
  };
  for (let at = 0; at < config.connections; at++) free.push(new Connection(config.port, onAnswer));
  const all = [...free];
  const startUs = nowUs() + 100_000;
  let collections = 0;
  const observer = new PerformanceObserver((list) => (collections += list.getEntries().length));
  observer.observe({ entryTypes: ['gc'] });
  const ticker = new Worker(import.meta.filename, { workerData: { startUs, perSec: config.perSec, total } });
  ticker.on('message', () => {
    const now = nowUs();
    for (; sent < total; sent++) {
      const meantUs = startUs + (sent * 1e6) / config.perSec;
      if (meantUs > now) return;
      if (sent >= warm) lateness.add(now - meantUs);
      const connection = free.pop();
      if (connection === undefined) waiting.push(meantUs);
      else connection.send(next(), meantUs);
    }
  });
  await promise;
  for (const connection of all) connection.destroy();
  await ticker.terminate();
  observer.disconnect();
  return {
    requests: total,
    wrong,
    p50Us: latency.quantile(0.5),
    p99Us: latency.quantile(0.99),
    p999Us: latency.quantile(0.999),
    lateP99Us: lateness.quantile(0.99),
    collections,
    latencies: latency.counts,
  };
}

function requestsOf({ credentialsFile, orderFile, header, prefix }: OpenLoopConfig): () => string {
  const lines = readFileSync(credentialsFile, 'utf8').trimEnd().split('\n');
  const order = Uint32Array.from(readFileSync(orderFile, 'utf8').trimEnd().split('\n'), Number);
  const before = prefix === '-' ? '' : `${prefix} `;
  const texts = lines.map((line) => {
    const [tenant, credential] = line.split(' ') as [string, string];
    const field = header === '-' ? '' : `${header}: ${before}${credential}\r\n`;
    const path = header === '-' ? '/items' : `/t/${tenant}/items`;
    return `GET ${path} HTTP/1.1\r\nHost: app.bench.example\r\nUser-Agent: bench/1\r\nAccept: application/json\r\n${field}\r\n`;
  });
  let at = 0;
  return () => texts[order[at++ % order.length] as number] as string;
}

/** Wakes the loop when a request is due. Several ticks in one message do no harm: the loop sends all that is due. */
function tick({ startUs, perSec, total }: { startUs: number; perSec: number; total: number }): void {
  const never = new Int32Array(new SharedArrayBuffer(4));
  for (let at = 0; at < total; at++) {
    const leftUs = startUs + (at * 1e6) / perSec - nowUs();
    if (leftUs > 0) Atomics.wait(never, 0, 0, leftUs / 1000);
    parentPort?.postMessage(0);
  }
}

if (isMainThread) {
  const config = JSON.parse(readFileSync(process.argv[2] as string, 'utf8')) as OpenLoopConfig;
  process.stdout.write(`${JSON.stringify(await run(config))}\n`);
} else tick(workerData as { startUs: number; perSec: number; total: number });
