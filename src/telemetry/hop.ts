/**
 * Where a request began and how many sidecars it has passed since: one member of our own in `tracestate`, which whoever propagates W3C trace
 * context hands on (https://www.w3.org/TR/trace-context/ §3.3). So applications need not know of it.
 *
 *   tracestate: reeve=2;orders/exports,other=…      the second sidecar behind the one at the edge, where it was `exports` of `orders`
 */

export interface Hop {
  /** Sidecars that it passed: 1 to 255. */
  readonly hop: number;
  /** SERVICE/ROUTE at the edge; nothing behind the slash where no route matched. */
  readonly operation: string;
}

/** Letters of an operation: two names. */
export const OPERATION_MAX: number = 63 + 1 + 63;
/** A byte in a record; what goes round in circles stays there. */
export const HOP_MAX = 255;

const KEY = 'reeve=';
/** §3.3.1.1 and §3.3.1.5: members of a list, and how long the whole may be; of too long a list those above 128 go first. */
const MEMBERS_MAX = 32;
const LENGTH_MAX = 512;
const MEMBER_LONG = 128;
/** A DNS label (RFC 1123), as all that we name is called. */
const LABEL = '[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?';
const SOUND = new RegExp(`^([1-9]\\d{0,2});(${LABEL}/(?:${LABEL})?)$`);

export function operationOf(service: string, route: string | undefined): string {
  return `${service}/${route ?? ''}`;
}

/** The member as it stands in the list. */
export function formatHop({ hop, operation }: Hop): string {
  return `${KEY}${Math.min(hop, HOP_MAX)};${operation}`;
}

/** What values of `tracestate` say; undefined: nothing of ours, more than one of it, or of a form that we do not write. */
export function readHop(values: readonly string[]): Hop | undefined {
  let ours: string | undefined;
  for (const member of membersOf(values)) {
    if (!member.startsWith(KEY)) continue;
    if (ours !== undefined) return undefined;
    ours = member;
  }
  const [, hop = '', operation = ''] = SOUND.exec(ours?.slice(KEY.length) ?? '') ?? [];
  return hop === '' || Number(hop) > HOP_MAX ? undefined : { hop: Number(hop), operation };
}

/** The value with our member in front: others stay in their order (§3.5), as many as have room. */
export function withHop(values: readonly string[], member: string): string {
  const others = membersOf(values).filter((each) => !each.startsWith(KEY));
  const isLong = lengthOf(others) + 1 + member.length > LENGTH_MAX;
  const list = [member, ...(isLong ? others.filter(({ length }) => length <= MEMBER_LONG) : others)];
  while (list.length > MEMBERS_MAX || (list.length > 1 && lengthOf(list) > LENGTH_MAX)) list.pop();
  return list.join(',');
}

/** Empty ones are allowed, and say nothing. */
function membersOf(values: readonly string[]): string[] {
  return values
    .join(',')
    .split(',')
    .map((each) => each.trim())
    .filter((each) => each !== '');
}

function lengthOf(list: readonly string[]): number {
  return list.reduce((sum, { length }) => sum + 1 + length, -1);
}
