/** What a token says behind a good signature: whether it is for us and for now (RFC 7519 §4.1), and whose it is. */
import { type Refusal, refusals } from './refusals.ts';

/** Members of the payload. The issuer chose the provider, so it is not looked at again. */
export type Claims = Readonly<Record<string, unknown>>;

/** Why the claims are refused, or undefined. `nowMs`: wall clock; `skewMs`: how far the clocks of issuer and sidecar may be apart. */
export function refusalOfClaims(
  { aud, exp, nbf, iat }: Claims,
  { audiences, clockSkewMs }: { readonly audiences: readonly string[]; readonly clockSkewMs: number },
  nowMs: number,
): Refusal | undefined {
  if (!isFor(aud, audiences)) return refusals.audience;
  if (!isTime(exp) || !isTimeOrNone(nbf) || !isTimeOrNone(iat)) return refusals.malformed;
  const nowSec = Math.floor(nowMs / 1000);
  const skewSec = clockSkewMs / 1000;
  if (nbf !== undefined && nbf > nowSec + skewSec) return refusals.notYet;
  if (exp <= nowSec - skewSec) return refusals.expired;
  // A token from the future was made by a clock nobody should trust.
  return iat !== undefined && iat * 1000 > nowMs + clockSkewMs ? refusals.notYet : undefined;
}

/** One name, or a list in which one of ours must be. */
function isFor(aud: unknown, audiences: readonly string[]): boolean {
  if (typeof aud === 'string') return audiences.includes(aud);
  return Array.isArray(aud) && aud.some((each) => audiences.includes(each));
}

/** NumericDate: seconds since 1970, fractions allowed. `1e999` is none. */
function isTime(value: unknown): value is number {
  return typeof value === 'number' && Number.isFinite(value);
}

function isTimeOrNone(value: unknown): value is number | undefined {
  return value === undefined || isTime(value);
}

/** A claim of exactly this name, else a path separated by dots; own members only. A text or a whole number, or undefined. */
export function claimAt(payload: object, name: string): string | undefined {
  const direct = own(payload, name);
  const value =
    direct ??
    name
      .split('.')
      .reduce<unknown>(
        (at, key) => (typeof at === 'object' && at !== null && !Array.isArray(at) ? own(at, key) : undefined),
        payload,
      );
  if (typeof value === 'string' && value.length > 0 && value.length <= 256) return value;
  return typeof value === 'number' && Number.isSafeInteger(value) ? String(value) : undefined;
}

function own(object: object, key: string): unknown {
  return Object.hasOwn(object, key) ? (object as Record<string, unknown>)[key] : undefined;
}
