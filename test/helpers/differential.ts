/**
 * The differential fuzz of the byte readers against `node:http` and the gate (G2). What our readers call sound, node must read in
 * the same way: the same fields, the same body, the same place where the next message begins. What ours wait for, node waits for too.
 */
import { ChunkedReader, gate, HeaderList, HeadWriter, RequestReader, ResponseReader } from '../../src/wire/index.ts';
import { type NodeReading, type ReadMessage, readAsClient, readAsServer } from './node-reading.ts';
import { diceOf, requestCase, responseCase } from './wire-mutations.ts';

const BOUNDS = { headersMax: 100, headBytesMax: 32 * 1024, targetBytesMax: 8192 };
const RULES = { ...BOUNDS, isProtectedName: (name: string) => name.startsWith('x-tenant-') };
const SENTINEL = Buffer.from('GET /sentinel HTTP/1.1\r\nHost: sentinel\r\n\r\n');
const BLOCK = Buffer.from('X-Own: 1\r\n');
/** Connections that are judged at once; more gain nothing. */
const BATCH = 250;

const requests = new RequestReader(BOUNDS);
const responses = new ResponseReader();
const chunks = new ChunkedReader();
const writer = new HeadWriter();

export interface Tally {
  cases: number;
  /** Messages our readers called sound, and those they handed over, called bad or waited for. */
  sound: number;
  others: number;
  waits: number;
  /** Sound for node as well as for the gate, but not boring or bad for us. No disagreement: we are meant to be stricter. */
  stricter: number;
  readonly disagreements: string[];
}

export function tally(): Tally {
  return { cases: 0, sound: 0, others: 0, waits: 0, stricter: 0, disagreements: [] };
}

interface OurRequest {
  readonly method: string;
  readonly target: string;
  readonly path: string;
  readonly host: string;
  readonly authority: string;
  readonly contentLength: number;
  readonly keepAlive: boolean;
  readonly fields: readonly string[];
  /** As it goes on, body included. */
  readonly onward: Buffer;
  readonly kept: readonly string[];
  readonly body: string;
  readonly isComplete: boolean;
}

interface OurRequests {
  readonly all: OurRequest[];
  /** Where what was not boring begins. */
  readonly end: number;
  readonly stop: 'other' | 'more' | 'close' | 'body';
}

function readRequests(bytes: Buffer): OurRequests {
  const all: OurRequest[] = [];
  let at = 0;
  for (;;) {
    const verdict = requests.read(bytes, at, bytes.length);
    if (verdict !== 'boring') return { all, end: at, stop: verdict };
    const from = at + requests.headBytes;
    at = from + Math.max(0, requests.contentLength);
    const isComplete = at <= bytes.length;
    all.push(ourRequest(bytes.subarray(from, at), isComplete));
    if (!isComplete) return { all, end: at, stop: 'body' };
    if (!requests.keepAlive) return { all, end: at, stop: 'close' };
  }
}

function ourRequest(body: Buffer, isComplete: boolean): OurRequest {
  const { method, contentLength, keepAlive, fields } = requests;
  writer.request(requests, BLOCK);
  return {
    ...{ method, contentLength, keepAlive, isComplete, target: requests.target(), path: requests.path() },
    ...{
      host: requests.host(),
      authority: requests.authority(),
      fields: fields.pairs(false),
      kept: fields.pairs(true),
    },
    onward: Buffer.concat([writer.bytes.subarray(0, writer.length), body]),
    body: body.toString('latin1'),
  };
}

/** Disagreements about one request that we called boring. */
function compareRequest(ours: OurRequest, node: ReadMessage | undefined): string | undefined {
  if (node === undefined) return 'node sees no such request';
  const passed = gate(
    { method: node.method, target: node.target, version: node.version, headers: new HeaderList([...node.fields]) },
    RULES,
  );
  if (passed.isRefused) return `the gate refuses: ${passed.detail}`;
  const framing = ours.contentLength === -1 ? { kind: 'none' } : { kind: 'length', bytes: ours.contentLength };
  return differing(
    [
      ...[ours.method, ours.target, ours.target, ours.path, ours.host, ours.authority, framing],
      ...[ours.fields, ours.body, ours.isComplete],
    ],
    [
      ...[node.method, node.target, passed.target, passed.path, passed.host, passed.authority, passed.framing],
      ...[node.fields, node.body, node.isComplete],
    ],
  );
}

function differing(ours: readonly unknown[], node: readonly unknown[]): string | undefined {
  const [left, right] = [JSON.stringify(ours), JSON.stringify(node)];
  return left === right ? undefined : `ours ${left}, node ${right}`;
}

function compareRequests(bytes: Buffer, { all, end, stop }: OurRequests, node: NodeReading): string | undefined {
  for (const [i, ours] of all.entries()) {
    const difference = compareRequest(ours, node.messages[i]);
    if (difference !== undefined) return `request ${i}: ${difference}`;
  }
  if (stop === 'other') return undefined;
  if (node.messages.length > all.length) return `node sees more requests, ours stopped at ${stop}`;
  // Behind `Connection: close` node complains of whatever comes; otherwise it must wait as we do.
  if (stop === 'close' || node.error === undefined || isRefusedWithItsLine(bytes, end)) return undefined;
  return `node refuses (${node.error}), ours waits`;
}

/** node judges a framing field byte by byte, we judge the whole line: once it is there we wait no longer. */
function isRefusedWithItsLine(bytes: Buffer, from: number): boolean {
  const line = bytes.toString('latin1', Math.max(from, bytes.lastIndexOf('\n') + 1)).toLowerCase();
  if (!line.startsWith('content-length') && !line.startsWith('transfer-encoding')) return false;
  const whole = Buffer.concat([bytes, Buffer.from(line.endsWith('\r') ? '\n' : '\r\n')]);
  return requests.read(whole, from, whole.length) === 'other';
}

/** Each request once more: what our writer makes of it, and another behind it, must be read as just that. */
function compareOnward({ kept, contentLength, ...ours }: OurRequest, node: NodeReading): string | undefined {
  const framing = contentLength === -1 ? [] : ['Content-Length', String(contentLength)];
  const [first, second] = node.messages;
  return differing(
    [
      ours.method,
      ours.target,
      ['Host', ours.authority, ...kept, ...framing, 'X-Own', '1'],
      ours.body,
      true,
      '/sentinel',
      2,
    ],
    [first?.method, first?.target, first?.fields, first?.body, first?.isComplete, second?.target, node.messages.length],
  );
}

/** `forNode` is what node gets in place of a connection's bytes: by it a test shows that differences are found. */
export async function fuzzRequests(
  cases: readonly Buffer[],
  sum: Tally,
  forNode: (bytes: Buffer) => Buffer = same,
): Promise<void> {
  const ours = cases.map(readRequests);
  const connections = [...cases];
  const checks = ours.map((reading, i) => (node: NodeReading) => noteRequests(cases[i] as Buffer, reading, node, sum));
  for (const [i, { all, end, stop }] of ours.entries()) {
    const bytes = cases[i] as Buffer;
    const last = all.at(-1);
    if (last?.isComplete && stop !== 'close') {
      connections.push(Buffer.concat([bytes.subarray(0, end), SENTINEL]));
      checks.push((node) => {
        const isThere = node.messages.length === all.length + 1 && node.messages.at(-1)?.target === '/sentinel';
        if (!isThere) disagree(sum, bytes, `the next request does not begin at ${end} for node`);
      });
    }
    for (const each of all.filter(({ isComplete }) => isComplete)) {
      connections.push(Buffer.concat([each.onward, SENTINEL]));
      checks.push((node) => disagree(sum, each.onward, compareOnward(each, node)));
    }
  }
  const nodes = await readAsServer(connections.map(forNode));
  checks.forEach((check, i) => check(nodes[i] as NodeReading));
}

function same(bytes: Buffer): Buffer {
  return bytes;
}

function noteRequests(bytes: Buffer, ours: OurRequests, node: NodeReading, sum: Tally): void {
  sum.cases++;
  sum.sound += ours.all.length;
  sum.others += ours.stop === 'other' ? 1 : 0;
  sum.waits += ours.stop === 'more' || ours.stop === 'body' ? 1 : 0;
  const next = node.messages[ours.all.length];
  if (ours.stop === 'other' && next !== undefined) {
    const { method, target, version, fields } = next;
    if (!gate({ method, target, version, headers: new HeaderList([...fields]) }, RULES).isRefused) sum.stricter++;
  }
  disagree(sum, bytes, compareRequests(bytes, ours, node));
}

function disagree(sum: Tally, bytes: Buffer, difference: string | undefined): void {
  if (difference !== undefined) sum.disagreements.push(`${JSON.stringify(bytes.toString('latin1'))}: ${difference}`);
}

interface OurResponse {
  readonly messages: readonly {
    readonly status: number;
    readonly version: string;
    readonly fields: readonly string[];
  }[];
  readonly stop: 'bad' | 'more' | 'final';
  readonly framing: string;
  readonly keepAlive: boolean;
  readonly isForHead: boolean;
  /** The body as far as it came, and what ended it. */
  readonly body: string;
  readonly bodyIs: 'complete' | 'partial' | 'bad';
  readonly trailers: readonly string[];
  readonly end: number;
}

function readResponse(bytes: Buffer, isForHead: boolean): OurResponse {
  const messages: OurResponse['messages'][number][] = [];
  let at = 0;
  for (;;) {
    const verdict = responses.read(bytes, at, bytes.length, isForHead);
    const { status, minorVersion, fields, framing, keepAlive, headBytes } = responses;
    if (verdict === 'bad' || verdict === 'more')
      return {
        messages,
        stop: verdict,
        isForHead,
        framing: 'none',
        keepAlive: false,
        body: '',
        bodyIs: 'bad',
        trailers: [],
        end: at,
      };
    messages.push({ status, version: `1.${minorVersion}`, fields: fields.pairs(false) });
    at += headBytes;
    if (verdict === 'final') return { messages, stop: 'final', isForHead, framing, keepAlive, ...readBody(bytes, at) };
  }
}

function readBody(bytes: Buffer, from: number): Pick<OurResponse, 'body' | 'bodyIs' | 'trailers' | 'end'> {
  const { framing, contentLength } = responses;
  if (framing === 'chunked') return readChunks(bytes, from);
  const length = framing === 'none' ? 0 : framing === 'close' ? bytes.length - from : contentLength;
  const end = Math.min(bytes.length, from + length);
  const bodyIs = end === from + length ? 'complete' : 'partial';
  return { body: bytes.toString('latin1', from, end), bodyIs, trailers: [], end };
}

function readChunks(bytes: Buffer, from: number): Pick<OurResponse, 'body' | 'bodyIs' | 'trailers' | 'end'> {
  chunks.begin();
  chunks.at = from;
  let body = '';
  let event = chunks.next(bytes, bytes.length);
  for (; event === 'data'; event = chunks.next(bytes, bytes.length))
    body += bytes.toString('latin1', chunks.dataFrom, chunks.dataTo);
  const bodyIs = event === 'end' ? 'complete' : event === 'more' ? 'partial' : 'bad';
  return { body, bodyIs, trailers: chunks.trailers?.pairs(false) ?? [], end: chunks.at };
}

function compareResponse(ours: OurResponse, node: NodeReading): string | undefined {
  const { messages, stop } = ours;
  const heads = node.messages.map(({ status, version, fields }) => ({ status, version, fields }));
  const difference = differing(messages, heads.slice(0, messages.length));
  if (difference !== undefined) return difference;
  if (stop === 'more') return heads.length > messages.length ? 'node sees a response, ours waits' : undefined;
  if (stop !== 'final' || ours.bodyIs === 'bad') return undefined;
  const last = node.messages[messages.length - 1] as ReadMessage;
  // When node decides this it has not yet been told that an answer to HEAD has no body.
  if (ours.keepAlive && !node.keepAlive && !ours.isForHead) return 'node does not keep the connection';
  return differing(
    [ours.body, ours.bodyIs === 'complete', ours.trailers],
    [last.body, last.isComplete, last.isComplete ? last.trailers : []],
  );
}

export async function fuzzResponses(
  cases: readonly Buffer[],
  methods: readonly string[],
  sum: Tally,
  forNode: (bytes: Buffer) => Buffer = same,
): Promise<void> {
  const ours = cases.map((bytes, i) => readResponse(bytes, methods[i] === 'HEAD'));
  const answers = cases.map((bytes, i) => ({ bytes, method: methods[i] as string, ends: true }));
  const checks = ours.map((reading, i) => (node: NodeReading) => noteResponse(cases[i] as Buffer, reading, node, sum));
  for (const [i, { stop, bodyIs, framing, end, messages }] of ours.entries()) {
    if (stop !== 'final' || bodyIs !== 'complete' || framing === 'close') continue;
    const bytes = cases[i] as Buffer;
    const isWhole = (node: NodeReading): boolean => node.messages[messages.length - 1]?.isComplete === true;
    // The place of the end, from both sides: with the last byte node has it whole, with one less it has not.
    answers.push({ bytes: bytes.subarray(0, end), method: methods[i] as string, ends: false });
    checks.push((node) => disagree(sum, bytes, isWhole(node) ? undefined : `not whole at ${end} for node`));
    answers.push({ bytes: bytes.subarray(0, end - 1), method: methods[i] as string, ends: false });
    checks.push((node) => disagree(sum, bytes, isWhole(node) ? `whole before ${end} for node` : undefined));
  }
  const nodes = await readAsClient(answers.map((each) => ({ ...each, bytes: forNode(each.bytes) })));
  checks.forEach((check, i) => check(nodes[i] as NodeReading));
}

function noteResponse(bytes: Buffer, ours: OurResponse, node: NodeReading, sum: Tally): void {
  const isBad = ours.stop === 'bad' || ours.bodyIs === 'bad';
  sum.cases++;
  sum.sound += ours.messages.length;
  sum.others += isBad ? 1 : 0;
  sum.waits += ours.stop === 'more' || ours.bodyIs === 'partial' ? 1 : 0;
  if (isBad && node.messages.at(-1)?.isComplete === true && node.error === undefined) sum.stricter++;
  disagree(sum, bytes, compareResponse(ours, node));
}

/** Cases `from` to below `to` of `seed`: requests, or responses. */
export async function fuzz(
  { seed, from, to, isResponses }: { seed: number; from: number; to: number; isResponses: boolean },
  sum: Tally,
): Promise<void> {
  for (let at = from; at < to; at += BATCH) {
    const dice = Array.from({ length: Math.min(BATCH, to - at) }, (_, i) => diceOf(seed, at + i));
    if (isResponses) {
      const methods = dice.map((each) => each.of(['GET', 'GET', 'GET', 'POST', 'HEAD']));
      await fuzzResponses(dice.map(responseCase), methods, sum);
    } else await fuzzRequests(dice.map(requestCase), sum);
  }
}
