/**
 * The units of the configuration. Units are never implied: `200/s`, `10KiB`, `250ms`, `20%`.
 * Numbers may carry `_` between digits. Every parser returns undefined for what it cannot read;
 * the caller knows the place and the remedy.
 */

const NUMBER = String.raw`(\d+(?:_\d+)*(?:\.\d+)?)`;
const DURATION = new RegExp(`^${NUMBER}(ms|s|m|min|h|d)$`);
const SIZE = new RegExp(`^${NUMBER}(B|KiB|MiB|GiB|TiB|kB|MB|GB|TB)$`);
const RATE = /^(.+?)\/(s|min|h|d)$/;
const PLAIN = new RegExp(`^${NUMBER}$`);
const PERCENT = new RegExp(`^${NUMBER}%$`);

const MS_PER: Readonly<Record<string, number>> = { ms: 1, s: 1e3, m: 60e3, min: 60e3, h: 3_600e3, d: 86_400e3 };
const BYTES_PER: Readonly<Record<string, number>> = {
  B: 1,
  KiB: 2 ** 10,
  MiB: 2 ** 20,
  GiB: 2 ** 30,
  TiB: 2 ** 40,
  kB: 1e3,
  MB: 1e6,
  GB: 1e9,
  TB: 1e12,
};

/** `5`, `5_000_000`, `0.5`. */
export function parseNumber(text: string): number | undefined {
  return PLAIN.test(text) ? Number(text.replaceAll('_', '')) : undefined;
}

/** `250ms`, `2s`, `5min`, `1h`, `30d` → ms. */
export function parseDurationMs(text: string): number | undefined {
  return scaled(DURATION.exec(text), MS_PER);
}

/** `10KiB`, `5MiB`, `1GB` → bytes. */
export function parseSizeBytes(text: string): number | undefined {
  return scaled(SIZE.exec(text), BYTES_PER);
}

/** `20%` → 0.2. */
export function parsePercent(text: string): number | undefined {
  const match = PERCENT.exec(text);
  return match === null ? undefined : Number((match[1] as string).replaceAll('_', '')) / 100;
}

/** `200/s`, `90/min`, `1000/h` → units per second. */
export function parseRatePerSec(text: string): number | undefined {
  return perSecond(text, parseNumber);
}

/** `20MiB/s` → bytes per second. */
export function parseByteRatePerSec(text: string): number | undefined {
  return perSecond(text, parseSizeBytes);
}

function perSecond(text: string, parseAmount: (amount: string) => number | undefined): number | undefined {
  const match = RATE.exec(text);
  if (match === null) return undefined;
  const amount = parseAmount(match[1] as string);
  return amount === undefined ? undefined : (amount * 1e3) / (MS_PER[match[2] as string] as number);
}

function scaled(match: RegExpExecArray | null, factors: Readonly<Record<string, number>>): number | undefined {
  if (match === null) return undefined;
  return Number((match[1] as string).replaceAll('_', '')) * (factors[match[2] as string] as number);
}
