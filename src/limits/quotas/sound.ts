/** What can be a row of quotas at all, wherever it comes from: others, a disk, a collector. */

/** Days until the year 7711. */
const DAY_MAX = 2 ** 21;
/** 2^50, above the largest quota: the sums of eight such are exact. */
const COUNT_MAX = 2 ** 50;
export const ACTOR: RegExp = /^[0-9a-f]{16}$/;

/** Whether a row can be one. Names are those of documents: 63 letters. */
export function isSound({
  tenant,
  meter,
  day,
  actor,
  count,
  credit,
}: {
  readonly tenant: string;
  readonly meter: string;
  readonly day: number;
  readonly actor: string;
  readonly count: number;
  readonly credit: number;
}): boolean {
  return (
    isName(tenant) &&
    isName(meter) &&
    Number.isInteger(day) &&
    day >= 0 &&
    day <= DAY_MAX &&
    ACTOR.test(actor) &&
    isCount(count) &&
    isCount(credit)
  );
}

export function isName(text: unknown): boolean {
  return typeof text === 'string' && text.length >= 1 && text.length <= 63;
}

export function isCount(value: unknown): boolean {
  return typeof value === 'number' && value >= 0 && value <= COUNT_MAX;
}
