/** Checks every number of the demo against another that was counted elsewhere. */
import { request } from 'undici';
import type { Attempt } from './spoofing.ts';
import type { Stage } from './stage.ts';
import { FLOODER, OVER, percentile, SECONDS, type Tally } from './traffic.ts';

export interface TenantRow {
  readonly tenant: string;
  readonly plan: string;
  readonly sent: number;
  readonly passed: number;
  readonly shaped: number;
  readonly degraded: number;
  readonly refused: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

export interface Verdict {
  readonly what: string;
  readonly isGood: boolean;
  readonly detail: string;
}

export interface Story {
  readonly tallies: readonly Tally[];
  readonly attempts: readonly Attempt[];
  readonly changesMs: readonly number[];
  readonly suspendedStatus: number;
  /** What the application had counted when the traffic ended. */
  readonly seen: Readonly<Record<string, number>>;
  readonly decisions: ReadonlyMap<string, ReadonlyMap<string, number>>;
}

export function rowsOf({ tallies, decisions }: Story): TenantRow[] {
  return tallies.map(({ tenant, sent, latencies }) => {
    const of = (decision: string): number => decisions.get(tenant.name)?.get(decision) ?? 0;
    return {
      tenant: tenant.name,
      plan: tenant.plan,
      sent,
      passed: of('pass') + of('notice') + of('credit'),
      shaped: of('shape'),
      degraded: of('degrade'),
      refused: of('refused'),
      p50Ms: round(percentile(latencies, 0.5)),
      p99Ms: round(percentile(latencies, 0.99)),
    };
  });
}

export function judge(story: Story): Verdict[] {
  const rows = rowsOf(story);
  const flood = rows.find((row) => row.tenant === FLOODER) as TenantRow;
  // The free plan: 20/s with a burst of 20.
  const allowed = 20 * SECONDS + 20;
  const others = rows.filter((row) => row.tenant !== FLOODER && row.tenant !== OVER);
  const over = rows.find((row) => row.tenant === OVER) as TenantRow;
  const changeMs = Math.max(...story.changesMs);
  const all = (test: (tally: Tally, row: TenantRow) => boolean) =>
    story.tallies.every((tally, at) => test(tally, rows[at] as TenantRow));
  const sum = (pick: (row: TenantRow) => number) => rows.reduce((total, row) => total + pick(row), 0);
  const check = (what: string, isGood: boolean, detail: string): Verdict => ({ what, isGood, detail });
  return [
    check(
      'every request sent was decided once',
      all((_, row) => row.sent === row.passed + row.shaped + row.degraded + row.refused),
      `${sum((row) => row.sent)} sent, ${sum((row) => row.passed + row.shaped + row.degraded + row.refused)} decided`,
    ),
    check(
      'the application saw what was admitted, no more and no less',
      all((_, row) => (story.seen[row.tenant] ?? 0) === row.passed + row.shaped + row.degraded),
      `${Object.values(story.seen).reduce((a, b) => a + b, 0)} seen`,
    ),
    check(
      'clients got 200 or 429 as decided',
      all(
        (tally, row) =>
          (tally.statuses.get(200) ?? 0) === row.sent - row.refused && (tally.statuses.get(429) ?? 0) === row.refused,
      ),
      `${sum((row) => row.refused)} refused`,
    ),
    check(
      'every answer was for the tenant that asked, at both services',
      all((tally) => tally.wrongTenant === 0),
      '0 for another',
    ),
    check(
      `${FLOODER} got its plan's limit and no more`,
      flood.passed <= allowed + 2 && flood.passed >= allowed * 0.9,
      `${flood.passed} of ${flood.sent} passed, ${allowed} allowed`,
    ),
    check(
      `${OVER}, sustained over its plan, was shaped and degraded before it was refused`,
      over.shaped > 0 && over.degraded > 0 && over.refused === 0,
      `${over.shaped} shaped, ${over.degraded} degraded, ${over.refused} refused`,
    ),
    check(
      'nobody else was refused, shaped or degraded',
      others.every((row) => row.refused + row.shaped + row.degraded === 0),
      `${others.length} tenants`,
    ),
    check(
      'no spoofing attempt reached the application as somebody else',
      story.attempts.every((attempt) => attempt.isHarmless),
      `${story.attempts.length} attempts`,
    ),
    check(
      'a changed limit bit within 100 ms',
      changeMs < 100,
      `${round(changeMs)} ms at worst of ${story.changesMs.length}`,
    ),
    check('the suspended tenant was refused', story.suspendedStatus === 403, `status ${story.suspendedStatus}`),
  ];
}

/** What the application itself counted by the tenant it was told. */
export async function askApplication(stage: Stage): Promise<Record<string, number>> {
  const { body } = await request(`${stage.orders.url}/seen`);
  return (await body.json()) as Record<string, number>;
}

export function round(value: number): number {
  return Math.round(value * 10) / 10;
}
