/** What a frame of a spool says, for a person: `reeve wal inspect`. */
import { crc32 } from 'node:zlib';
import { readFrame, readSpoolHead } from './block.ts';
import { readRecords } from './runs.ts';
import { readKey } from './usage-record.ts';

/** Of one block. */
const RECORDS_SHOWN = 20;

/** `head`: of the frame's segment. Undefined: nothing that this version knows. */
export function describeSpoolFrame(body: Buffer, head: Buffer): unknown {
  const run = readFrame(body, crc32(body));
  const spool = readSpoolHead(head);
  if (run === undefined || spool === undefined) return undefined;
  if (typeof run === 'number')
    return run === 0 ? { probe: 'the disk takes records again' } : { told: `segment ${run}` };
  const { firstSeq, lastSeq, baseMs, lastMs, records, windows } = run;
  const range = {
    spool: spool.spoolId,
    epoch: spool.epoch,
    seq: `${firstSeq}–${lastSeq}`,
    from: new Date(baseMs).toISOString(),
  };
  if (lastSeq < firstSeq) return { spool: spool.spoolId, epoch: spool.epoch, ended: lastSeq, from: range.from };
  if (records === undefined) return { ...range, to: new Date(lastMs).toISOString(), folded: windows?.bytes };
  const shown: unknown[] = [];
  readRecords(records, baseMs, ({ bytes, keyFrom, hop, isPart, bytesIn, bytesOut, durationUs, units, traceAt }) => {
    const { operation, ...key } = readKey(bytes, keyFrom);
    const began = hop > 0 ? { operation, hop } : {};
    const part = isPart ? { isPart } : {};
    const own = units.length > 0 ? { units } : {};
    const trace = traceAt === -1 ? {} : { traceId: bytes.toString('hex', traceAt, traceAt + 16) };
    shown.push({ ...key, ...began, ...part, bytesIn, bytesOut, durationUs, ...own, ...trace });
    return shown.length < RECORDS_SHOWN;
  });
  return { ...range, records: shown };
}
