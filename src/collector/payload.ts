// hot path
/** What a batch holds: judged before it is taken into the ledger, and read once it stands there. */
import { crc32, zstdDecompressSync } from 'node:zlib';
import { keyEnd, type RecordReader, readRuns, readWindows, type Sums } from '../metering/index.ts';
import { BODY_BYTES_MAX } from '../wal/index.ts';
import type { Payload } from './entry.ts';

/** Of one batch, before compression: what a bomb can make of this process. Sidecars fold what 5 MiB and one block more hold. */
export const PAYLOAD_BYTES_MAX: number = 8 * 2 ** 20;
/** Of one batch as it comes: in a frame of the ledger, and in a message, it has room with all that stands around it. */
export const ZSTD_BYTES_MAX: number = BODY_BYTES_MAX - 16 * 1024;
/** What a record or a fold of them can say of anything; whole numbers are exact up to it. */
const AMOUNT_MAX = Number.MAX_SAFE_INTEGER;
/** Units: a report has at most 1e15, a fold so many times that; twice, for what sums of doubles are off. */
const UNITS_EACH_MAX = 2e15;

/** Or why it cannot be read. */
export function unpack({ zstd, bytes, crc }: Payload): Buffer | string {
  if (bytes === 0 || bytes > PAYLOAD_BYTES_MAX) return `a payload has 1 to ${PAYLOAD_BYTES_MAX} bytes`;
  let payload: Buffer;
  try {
    payload = zstdDecompressSync(zstd, { maxOutputLength: bytes });
  } catch (cause) {
    return `the payload is not Zstandard of ${bytes} bytes: ${(cause as NodeJS.ErrnoException).code}`;
  }
  if (payload.length !== bytes) return 'the payload has fewer bytes than it says';
  return crc32(payload) === crc ? payload : 'the sum of the payload is wrong';
}

/** Whether it has so many records, or can stand for them: parts of requests are not counted in sums. False too when it is broken. */
export function holds(payload: Buffer, isFolded: boolean, records: number): boolean {
  if (!isFolded) return readRuns(payload, isSane) === records;
  let count = 0;
  const isWhole = readWindows(payload, (_windowMs, series, sums, spanMs) => {
    if (!isSaneRow(sums) || spanMs < 1000) return false;
    // What is counted of a meter belongs to a record that is counted already.
    if (!hasMeter(series)) count += sums.count;
    return true;
  });
  return isWhole && count <= records;
}

function isSane({ bytesIn, bytesOut, durationUs, upstreamUs, units }: RecordReader): boolean {
  if (bytesIn > AMOUNT_MAX || bytesOut > AMOUNT_MAX || durationUs > AMOUNT_MAX || upstreamUs > AMOUNT_MAX) return false;
  for (const { units: amount } of units) if (Math.abs(amount) > UNITS_EACH_MAX) return false;
  return true;
}

function isSaneRow({
  count,
  bytesIn,
  bytesOut,
  durationUs,
  durationUsMax,
  upstreamUs,
  units,
}: Readonly<Sums>): boolean {
  return (
    Math.max(count, bytesIn, bytesOut, durationUs, durationUsMax, upstreamUs) <= AMOUNT_MAX &&
    Math.abs(units) <= UNITS_EACH_MAX * count
  );
}

/** Whether a series counts a meter of the application's: its name stands behind the key, a byte of length in front. */
export function hasMeter(series: Buffer): boolean {
  return series[keyEnd(series, 0, series.length)] !== 0;
}
