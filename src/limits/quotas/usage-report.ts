/**
 * What an application says was used: in a header of its answer, or in a body it posts.
 *
 *   x-reeve-usage: storage_bytes=+1024, llm_tokens=812
 *   { "tenant": "acme", "usage": { "llm_tokens": 812, "storage_bytes": "+1024" } }
 *
 * A number without a sign is added to a counter, and is the new value of a gauge; `+` and `-` change either: a counter by as much more, or
 * given back.
 */

export interface Usage {
  readonly meter: string;
  readonly sign: '' | '+' | '-';
  readonly units: number;
}

/** Of one report, as many as a tenant has quotas. */
const USAGES_MAX = 16;
const TEXT_MAX = 1024;
const MEMBER = /^([a-z][a-z0-9_]{0,62})=([+-]?)(\d{1,15}(?:\.\d{1,6})?)$/;
const AMOUNT = /^([+-]?)(\d{1,15}(?:\.\d{1,6})?)$/;
const METER = /^[a-z][a-z0-9_]{0,62}$/;
/** 10^15, as a quota. */
const UNITS_MAX = 1e15;

/** Undefined for what is malformed: all of it, so that no half of a report is counted. */
export function usageOfHeader(value: string): Usage[] | undefined {
  if (value.length > TEXT_MAX) return undefined;
  const members = value.split(',');
  if (members.length > USAGES_MAX) return undefined;
  const usages: Usage[] = [];
  for (const member of members) {
    const [, meter, sign, units] = MEMBER.exec(member.trim()) ?? [];
    if (meter === undefined) return undefined;
    usages.push({ meter, sign: sign as Usage['sign'], units: Number(units) });
  }
  return usages;
}

/** What a posted body says, or what is wrong with it. */
export function usageOfBody(text: string): { readonly tenant: string; readonly usages: Usage[] } | string {
  let body: unknown;
  try {
    body = JSON.parse(text);
  } catch {
    return 'The body is no JSON.';
  }
  const { tenant, usage, ...rest } = Object(body) as Record<string, unknown>;
  const odd = Object.keys(rest)[0];
  if (odd !== undefined) return `${JSON.stringify(odd)} is no member of a report; it has tenant and usage.`;
  if (typeof tenant !== 'string') return 'tenant must be the name of a tenant.';
  if (typeof usage !== 'object' || usage === null || Array.isArray(usage))
    return 'usage must be an object of meters and units, such as { "llm_tokens": 812 }.';
  const entries = Object.entries(usage);
  if (entries.length === 0 || entries.length > USAGES_MAX) return `usage must have 1 to ${USAGES_MAX} meters.`;
  const usages: Usage[] = [];
  for (const [meter, amount] of entries) {
    const read = METER.test(meter) ? usageOf(meter, amount) : undefined;
    if (read === undefined)
      return `${JSON.stringify(meter.slice(0, 63))} must be a meter with a number of units, or "+1024", or "-1024".`;
    usages.push(read);
  }
  return { tenant, usages };
}

function usageOf(meter: string, amount: unknown): Usage | undefined {
  if (typeof amount === 'number')
    return Math.abs(amount) <= UNITS_MAX ? { meter, sign: amount < 0 ? '-' : '', units: Math.abs(amount) } : undefined;
  const [, sign, units] = typeof amount === 'string' ? (AMOUNT.exec(amount) ?? []) : [];
  return units === undefined ? undefined : { meter, sign: sign as Usage['sign'], units: Number(units) };
}
