/**
 * How `node:http` reads bytes, both as server and as client, without a socket: strict, as the general engine has it. The other opinion
 * of the differential fuzz.
 */
import { createServer, type IncomingMessage, request, type Server } from 'node:http';
import { Duplex } from 'node:stream';

/** An end of a connection on which `push` makes bytes arrive. */
class Wire extends Duplex {
  override _read(): void {}

  override _write(_chunk: unknown, _encoding: unknown, done: () => void): void {
    done();
  }
}

export interface ReadMessage {
  method: string;
  target: string;
  status: number;
  version: string;
  /** Names and values alternating. */
  fields: readonly string[];
  body: string;
  isComplete: boolean;
  trailers: readonly string[];
}

export interface NodeReading {
  readonly messages: ReadMessage[];
  /** Code of the parser's error. */
  error: string | undefined;
  /** Node would use the connection again (client only). */
  keepAlive: boolean;
}

function blank(): NodeReading {
  return { messages: [], error: undefined, keepAlive: false };
}

function note(reading: NodeReading, message: IncomingMessage): void {
  const read: ReadMessage = {
    method: message.method ?? '',
    target: message.url ?? '',
    status: message.statusCode ?? 0,
    version: message.httpVersion,
    fields: message.rawHeaders,
    body: '',
    isComplete: false,
    trailers: [],
  };
  reading.messages.push(read);
  message.on('data', (chunk: Buffer) => (read.body += chunk.toString('latin1')));
  message.on('error', () => {});
  message.on('end', () => {
    read.isComplete = message.complete;
    read.trailers = message.rawTrailers;
  });
}

const server: Server = createServer({
  maxHeaderSize: 40 * 1024,
  insecureHTTPParser: false,
  requireHostHeader: false,
  headersTimeout: 0,
  requestTimeout: 0,
  connectionsCheckingInterval: 2 ** 30,
  shouldUpgradeCallback: () => false,
});
server.maxHeadersCount = 0;
const readings = new WeakMap<object, NodeReading>();
const readingOf = (socket: object): NodeReading => readings.get(socket) as NodeReading;
for (const event of ['request', 'checkContinue', 'checkExpectation'])
  server.on(event, (req: IncomingMessage, res: { end(): void }) => {
    note(readingOf(req.socket), req);
    res.end();
  });
server.on('connect', (req, socket) => void note(readingOf(socket), req));
server.on('clientError', (cause: NodeJS.ErrnoException, socket) => {
  readingOf(socket).error = cause.code ?? cause.message;
});

/** What a server sees of each connection's bytes, which then go quiet. */
export async function readAsServer(connections: readonly Buffer[]): Promise<NodeReading[]> {
  const wires = connections.map((bytes) => {
    const wire = new Wire();
    readings.set(wire, blank());
    wire.on('error', () => {});
    server.emit('connection', wire);
    if (bytes.length > 0) wire.push(Buffer.from(bytes));
    return wire;
  });
  await settled();
  return wires.map((wire) => {
    const reading = readingOf(wire);
    const copy = { ...reading, messages: reading.messages.map((each) => ({ ...each })) };
    wire.destroy();
    return copy;
  });
}

export interface Answer {
  readonly bytes: Buffer;
  readonly method: string;
  /** The connection ends after the bytes. */
  readonly ends: boolean;
}

/** What a client that asked with `method` sees of the bytes that came back. Interim responses are messages too. */
export async function readAsClient(answers: readonly Answer[]): Promise<NodeReading[]> {
  const wires: Wire[] = [];
  const read = answers.map(({ bytes, method, ends }) => {
    const reading = blank();
    const wire = new Wire();
    wires.push(wire);
    wire.on('error', () => {});
    const req = request({
      method,
      createConnection: () => wire,
      maxHeaderSize: 70 * 1024,
      insecureHTTPParser: false,
      headers: { host: 'a', connection: 'keep-alive' },
    });
    req.maxHeadersCount = 0;
    req.on('information', ({ statusCode, httpVersion, rawHeaders }) =>
      reading.messages.push({
        ...{ method: '', target: '', status: statusCode, version: httpVersion, fields: rawHeaders as string[] },
        ...{ body: '', isComplete: true, trailers: [] },
      }),
    );
    req.on('response', (res) => {
      note(reading, res);
      reading.keepAlive = req.shouldKeepAlive;
    });
    req.on('upgrade', () => (reading.error = 'upgrade'));
    req.on('error', (cause: NodeJS.ErrnoException) => (reading.error ??= cause.code ?? cause.message));
    req.end();
    // The parser is there once the socket was assigned, in the next tick; bytes wait for it.
    if (bytes.length > 0) wire.push(Buffer.from(bytes));
    if (ends) wire.push(null);
    return reading;
  });
  await settled();
  const copies = read.map((each) => ({ ...each, messages: each.messages.map((message) => ({ ...message })) }));
  for (const wire of wires) wire.destroy();
  return copies;
}

/** Streams hand on by ticks and immediates; after a few turns of the loop nothing is on its way any more. */
async function settled(): Promise<void> {
  for (let turn = 0; turn < 4; turn++) await new Promise((resolve) => setImmediate(resolve));
}
