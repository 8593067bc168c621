/** What the frames of a spool and of a ledger say, for who looks at one. */
import { readEntry } from '../collector/index.ts';
import { readFrame, readKey, readRecords, readSpoolHead } from '../metering/index.ts';

/** What a frame's body says, as JSON can hold it. `head`: the owner's part of its segment's head. Undefined: nothing that is known. */
export type Decode = (body: Buffer, head: Buffer) => unknown;

/** Of one frame; a busy turn of the loop has thousands. */
const RECORDS_SHOWN = 20;

/** By a log's kind; the bodies of others are shown as bytes. */
export const DECODERS: Readonly<Record<string, Decode>> = { SPOL: ofSpool, LEDG: ofLedger };

function ofSpool(body: Buffer, head: Buffer): unknown {
  // The sum is what the next block holds: it is not shown.
  const frame = readFrame(body, 0);
  if (typeof frame === 'number') return { kind: 'mark', toldUpTo: frame };
  if (frame === undefined) return undefined;
  const { firstSeq, lastSeq, baseMs, records } = frame;
  const place = { epoch: readSpoolHead(head)?.epoch, seqFrom: firstSeq, seqTo: lastSeq, at: at(baseMs) };
  return records === undefined
    ? { kind: 'windows', ...place }
    : { kind: 'block', ...place, records: recordsOf(records, baseMs) };
}

function recordsOf(bytes: Buffer, baseMs: number): unknown[] {
  const shown: unknown[] = [];
  readRecords(bytes, baseMs, (reader) => {
    const { bytesIn, bytesOut, durationUs, upstreamUs, units, sinceMs, traceAt } = reader;
    const traceId = traceAt === -1 ? undefined : reader.bytes.toString('hex', traceAt, traceAt + 16);
    const key = readKey(reader.bytes, reader.keyFrom);
    shown.push({ at: at(baseMs + sinceMs), ...key, bytesIn, bytesOut, durationUs, upstreamUs, units, traceId });
    return shown.length < RECORDS_SHOWN;
  });
  return shown;
}

function ofLedger(body: Buffer): unknown {
  const entry = readEntry(body);
  if (entry === undefined) return undefined;
  const { receivedMs, watermarkMs, batch, ...rest } = entry;
  const payload =
    batch === undefined ? {} : { isFolded: batch.isFolded, bytes: batch.bytes, bytesCompressed: batch.zstd.length };
  return { ...rest, receivedAt: at(receivedMs), watermark: at(watermarkMs), ...payload };
}

const at = (ms: number): string => new Date(ms).toISOString();
