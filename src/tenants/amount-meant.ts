/** What people write for an amount, and most likely mean: `5 per second` is 5/s, `40k` is 40_000. */

/** Of a schema: what an amount is called there, and how it is written. */
interface Amount {
  readonly title?: unknown;
  readonly pattern?: unknown;
}

const CHARS_MAX = 40;
const NUMBER = String.raw`(?<number>\d[\d_]*(?:\.\d+)?)\s*`;
const TIMES_OF = '(?<times>[kKM])?';
const SIZE = '(?<size>B|KiB|MiB|GiB|kB|MB|GB)';
const PER = '(?<per>s|secs?|seconds?|m|mins?|minutes?|h|hrs?|hours?|d|days?)';
const COUNTED = new RegExp(
  `^${NUMBER}${TIMES_OF}(?:\\s*(?:requests?|reqs?|r(?=p)))?(?:\\s*(?:/|per|a|an|p(?=s$))\\s*${PER})?$`,
);
const BYTES = new RegExp(`^${NUMBER}${SIZE}\\s*(?:/|per|a|an)\\s*${PER}$`);
const TIMES: Readonly<Record<string, number>> = { k: 1e3, K: 1e3, M: 1e6 };
const UNITS: Readonly<Record<string, string>> = { s: 's', m: 'min', h: 'h', d: 'd' };

/** The remedy, or undefined where nothing is certain enough. */
export function amountRemedy(data: unknown, schema: Amount): string | undefined {
  const { title } = schema;
  if (typeof data !== 'string' && typeof data !== 'number') return undefined;
  const text = String(data).trim();
  if (text.length > CHARS_MAX || !(title === 'rate' || title === 'byte rate' || title === 'quota')) return undefined;
  // Minus nothing is nothing too.
  if (/^(-|0+(\.0+)?$)/.test(text)) return title === 'quota' ? 'choose a quota above 0' : aboveZero(title);
  const meant = title === 'quota' ? quotaMeant(text) : rateMeant(text, schema);
  return meant === undefined ? undefined : `did you mean ${meant}?`;
}

function aboveZero(title: string): string {
  const least = title === 'rate' ? '1/s' : '1MiB/s';
  return `choose a rate above 0, such as ${least}`;
}

function quotaMeant(text: string): string | undefined {
  const { number, times, per } = COUNTED.exec(withoutCommas(text))?.groups ?? {};
  return number === undefined || per !== undefined ? undefined : multiplied(number, times);
}

function rateMeant(text: string, { title, pattern }: Amount): string | undefined {
  const form = title === 'rate' ? COUNTED : BYTES;
  const { number, times, size = '', per = 's' } = form.exec(withoutCommas(text))?.groups ?? {};
  if (number === undefined) return undefined;
  const meant = `${multiplied(number, times)}${size}/${UNITS[per[0] as string]}`;
  return new RegExp(pattern as string).test(meant) ? meant : undefined;
}

/** `1,000` with its thousands set off as YAML knows them. */
function withoutCommas(text: string): string {
  return /^\d{1,3}(,\d{3})+(?![\d,])/.test(text) ? text.replaceAll(',', '_') : text;
}

function multiplied(number: string, times: string | undefined): string {
  if (times === undefined) return number;
  const value = Number(number.replaceAll('_', '')) * (TIMES[times] as number);
  return value.toLocaleString('en', { maximumFractionDigits: 3 }).replaceAll(',', '_');
}
