/** What the frames of a spool, of a ledger and of kept rows say, for who looks at one. */
import { KEPT_KIND, readEntry, readKeptFrame } from '../collector/index.ts';
import { describeSpoolFrame, SPOOL_KIND } from '../metering/index.ts';

/** What a frame's body says, as JSON can hold it. `head`: the owner's part of its segment's head. Undefined: nothing that is known. */
export type Decode = (body: Buffer, head: Buffer) => unknown;

/** By a log's kind; the bodies of others are shown as bytes. */
export const DECODERS: Readonly<Record<string, Decode>> = {
  [SPOOL_KIND]: describeSpoolFrame,
  LEDG: describeEntry,
  [KEPT_KIND]: describeKept,
};

function describeEntry(body: Buffer): unknown {
  const entry = readEntry(body);
  if (entry === undefined) return undefined;
  const { receivedMs, watermarkMs, batch, ...rest } = entry;
  const payload =
    batch === undefined ? {} : { isFolded: batch.isFolded, bytes: batch.bytes, bytesCompressed: batch.zstd.length };
  return { ...rest, receivedAt: at(receivedMs), watermark: at(watermarkMs), ...payload };
}

function describeKept(body: Buffer): unknown {
  const frame = readKeptFrame(body);
  if (frame === undefined) return undefined;
  const rows = frame.rows.map(({ key, version, value, untilMs }) => ({
    key: Buffer.from(key).toString('latin1'),
    version,
    value: Buffer.from(value).toString('latin1'),
    until: at(untilMs),
  }));
  return { fleet: frame.fleet, rows };
}

const at = (ms: number): string => new Date(ms).toISOString();
