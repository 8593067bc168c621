// hot path
/**
 * The head that goes up: what the client sent and nobody removed, then our own lines in the order of the general engine (arrival.ts,
 * forwarded.ts): request id, trace, forwarding, Via, what stages inject.
 */
import type { Random } from '../../core/index.ts';
import { PLAN_FIELD, TENANT_FIELD } from '../../identity/index.ts';
import type { Exchange } from '../../pipeline/index.ts';
import { newTrace } from '../../telemetry/index.ts';
import type { Route, Tenant } from '../../tenants/index.ts';
import { type ByteHeaders, type FieldTable, foldName, type HeadWriter, knownId, SUSPECT } from '../../wire/index.ts';
import { continueTrace, forwardedFields, hopMember, isForwarding } from '../forwarded.ts';
import { addBytes, addLine, addLines, addText, endHead, linesOf, NO_BLOCK, reopenHead } from './lines.ts';
import type { Slate } from './slate.ts';
import type { FastWorld } from './world.ts';

/** What is the same for every request of a connection. */
export interface Peer {
  readonly address: string;
  readonly isTrusted: boolean;
  /** X-Forwarded-For and -Proto, and the name of -Host. */
  readonly forwarded: Buffer;
  /** What stands behind the value of -Host: its line's end, and Via. */
  readonly afterHost: Buffer;
}

const HOST = knownId('host');
/** RFC 9110 §8.6: a method that anticipates content says that there is none; so does undici. */
const WITH_CONTENT: ReadonlySet<string> = new Set(['POST', 'PUT', 'PATCH', 'QUERY', 'PROPFIND', 'PROPPATCH']);
const FORWARDING = bits('forwarded', 'x-forwarded-for', 'x-forwarded-proto', 'x-forwarded-host', 'x-real-ip');
const TRACE = bits('traceparent', 'tracestate', 'baggage');

function bits(...names: Parameters<typeof knownId>[0][]): number {
  return names.reduce((sum, name) => sum | (1 << knownId(name)), 0);
}

export function peerOf(world: FastWorld, address: string): Peer {
  const isTrusted = world.isTrustedProxy(address);
  const text = `${linesOf(['X-Forwarded-For', address, 'X-Forwarded-Proto', 'http'])}X-Forwarded-Host: `;
  const afterHost = world.config.wire.via ? `\r\nVia: ${world.via}\r\n` : '\r\n';
  return {
    address,
    isTrusted,
    forwarded: Buffer.from(text, 'latin1'),
    afterHost: Buffer.from(afterHost, 'latin1'),
  };
}

/** Names that some servers fold into those of framing: `Content_Length` is CONTENT_LENGTH to CGI and WSGI. */
export function dropFolds(fields: FieldTable): void {
  for (let i = 0; i < fields.count; i++) {
    if (fields.kinds[i] !== SUSPECT) continue;
    const folded = foldName(fields.name(i));
    if (folded === 'content-length' || folded === 'transfer-encoding') fields.drop(i);
  }
}

/** Writes the head on the slate; its content follows there or on its own. */
export function writeHeadUp(world: FastWorld, slate: Slate, x: Exchange, headers: ByteHeaders, peer: Peer): void {
  const { config, random } = world;
  const { reader, writer } = slate;
  const { fields } = reader;
  const isPlain = x.trustClass === 'edge' && !peer.isTrusted;
  if (isPlain) dropMarked(fields, FORWARDING | TRACE);
  else {
    x.traceId = continueTrace(headers, x.trustClass, random, hopMember(config, x)).traceId;
    forwardedFields(headers, { address: peer.address, isTrusted: peer.isTrusted, host: reader.authority() });
  }
  if (reader.contentLength === -1 && WITH_CONTENT.has(reader.method)) reader.contentLength = 0;
  writer.request(reader, NO_BLOCK);
  reopenHead(writer);
  addLines(writer, headers.appended);
  if (isPlain) {
    x.traceId = addNewTrace(writer, random);
    if (config.metering !== undefined) addFirstHop(writer, world.firstHop, x.route);
    const host = fields.first(HOST);
    addBytes(writer, peer.forwarded, 0, peer.forwarded.length);
    addBytes(writer, fields.bytes, fields.valueFrom(host), fields.valueTo(host));
    addBytes(writer, peer.afterHost, 0, peer.afterHost.length);
  } else if (config.wire.via) addLines(writer, ['Via', world.via]);
  if (x.tenant !== undefined) addTenant(writer, x.tenant);
  addLines(writer, x.injected);
  endHead(writer);
}

/** As `tenantFields` has them, without a list. */
function addTenant(writer: HeadWriter, { id, plan }: Tenant): void {
  addLine(writer, TENANT_FIELD, id);
  addLine(writer, PLAN_FIELD, plan.name);
}

/** A line as `formatTraceparent` has it. Says the trace's id. */
function addNewTrace(writer: HeadWriter, random: Random): string {
  const { traceId, spanId } = newTrace(random);
  addText(writer, 'traceparent: 00-');
  addText(writer, traceId);
  addText(writer, '-');
  addText(writer, spanId);
  addText(writer, '-00\r\n');
  return traceId;
}

/** What begins here: the line as `hopMember` has it, of pieces that are there already. */
function addFirstHop(writer: HeadWriter, firstHop: string, route: Route | undefined): void {
  addText(writer, firstHop);
  if (route !== undefined) addText(writer, route.name);
  addText(writer, '\r\n');
}

/** Known names by their bits, and whatever folds to a forwarding one. */
function dropMarked(fields: FieldTable, marked: number): void {
  if ((fields.seen & marked) === 0 && !fields.hasSuspect) return;
  for (let i = 0; i < fields.count; i++) {
    const kind = fields.kinds[i] as number;
    const isMarked = kind === SUSPECT ? isForwarding(fields.name(i).toLowerCase()) : (marked & (1 << kind)) !== 0;
    if (kind !== 0 && isMarked) fields.drop(i);
  }
}
