/** Tenants that stand in the files and are not in force, not even by an older version: who, and why. */
import type { LeftOut } from './catalogue/parting.ts';
import { formatFinding } from './findings.ts';
import type { Finding } from './model.ts';

/** Of one look. */
export interface Found {
  readonly leftOut: LeftOut;
  readonly findings: readonly Finding[];
}

/** A line of a log names so many. */
const FIRST = 10;

export function leftOutNames({ leftOut }: Found): string[] {
  return leftOut.first.slice(0, FIRST).map((each) => each.name);
}

/** As far as they are named. */
export function isSameLeftOut(one: LeftOut, other: LeftOut): boolean {
  return one.total === other.total && one.first.every(({ name }, at) => name === other.first[at]?.name);
}

/** The finding about it, or about its plan; undefined when it is not left out. */
export function whyLeftOut({ leftOut, findings }: Found, name: string): string | undefined {
  const left = leftOut.first.find((each) => each.name === name);
  if (left === undefined) return undefined;
  const about = (kind: string, of: string | undefined): Finding | undefined =>
    findings.find((each) => each.severity === 'error' && each.kind === kind && each.name === of);
  const finding = about('Tenant', name) ?? (left.plan === undefined ? undefined : about('Plan', left.plan));
  if (finding !== undefined) return formatFinding(finding);
  return left.plan === undefined ? 'its document has an error' : `its Plan "${left.plan}" is not in force`;
}
