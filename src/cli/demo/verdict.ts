/** Checks every number of the demo against another that was counted elsewhere. */
import { request } from 'undici';
import type { Account } from './accounting.ts';
import type { DoubleEntry } from './double-entry.ts';
import type { Attempt } from './spoofing.ts';
import { LITE, type Stage } from './stage.ts';
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
  readonly accounts: readonly Account[];
  readonly doubleEntry: DoubleEntry;
  /** What the application had counted when the traffic ended. */
  readonly seen: Readonly<Record<string, number>>;
  readonly decisions: ReadonlyMap<string, ReadonlyMap<string, number>>;
  /** What Prometheus would have counted meanwhile, `tenant result` → requests. */
  readonly metrics: Readonly<Record<string, number>>;
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

const check = (what: string, isGood: boolean, detail: string): Verdict => ({ what, isGood, detail });

export function judge(story: Story): Verdict[] {
  const rows = rowsOf(story);
  return [
    ...countsChecks(story, rows),
    ...limitsChecks(rows),
    ...identityChecks(story),
    ...changeChecks(story),
    ...accountChecks(story),
    ...entryChecks(story),
  ];
}

/** Client, access log, application and metrics have each counted for themselves. */
function countsChecks({ tallies, seen, metrics }: Story, rows: readonly TenantRow[]): Verdict[] {
  const all = (test: (tally: Tally, row: TenantRow) => boolean) =>
    tallies.every((tally, at) => test(tally, rows[at] as TenantRow));
  const sum = (pick: (row: TenantRow) => number) => rows.reduce((total, row) => total + pick(row), 0);
  const admitted = (row: TenantRow) => row.passed + row.shaped + row.degraded;
  const total = (counts: Readonly<Record<string, number>>) => Object.values(counts).reduce((a, b) => a + b, 0);
  const of = (counts: Readonly<Record<string, number>>, name: string) => counts[name] ?? 0;
  const strangers = Object.keys(seen).filter((name) => of(seen, name) > 0 && !rows.some((row) => row.tenant === name));
  return [
    check(
      'every request sent was decided once',
      all((_, row) => row.sent === admitted(row) + row.refused),
      `${sum((row) => row.sent)} sent, ${sum((row) => admitted(row) + row.refused)} decided`,
    ),
    check(
      'the application saw what was admitted, no more and no less',
      strangers.length === 0 && all((_, row) => of(seen, row.tenant) === admitted(row)),
      `${total(seen)} seen, ${sum(admitted)} admitted${strangers.map((name) => `, ${seen[name]} seen as ${name}`).join('')}`,
    ),
    check(
      'clients got 200 or 429 as decided',
      all(
        (tally, row) =>
          (tally.statuses.get(200) ?? 0) === row.sent - row.refused && (tally.statuses.get(429) ?? 0) === row.refused,
      ),
      statusesOf(tallies),
    ),
    check(
      'clients saw less of the answer as often as service was degraded',
      all((tally, row) => tally.degradedSeen === row.degraded),
      `${tallies.reduce((total, tally) => total + tally.degradedSeen, 0)} seen, ${sum((row) => row.degraded)} decided`,
    ),
    check(
      'Prometheus is told the same',
      all(
        (_, row) =>
          of(metrics, `${row.tenant} passed`) === admitted(row) && of(metrics, `${row.tenant} refused`) === row.refused,
      ),
      `${total(metrics)} counted`,
    ),
    check(
      'every answer was for the tenant that asked, at both services',
      all((tally) => tally.wrongTenant === 0),
      `${tallies.reduce((total, tally) => total + tally.wrongTenant, 0)} for another`,
    ),
  ];
}

function statusesOf(tallies: readonly Tally[]): string {
  const counts = new Map<number, number>();
  for (const { statuses } of tallies)
    for (const [status, count] of statuses) counts.set(status, (counts.get(status) ?? 0) + count);
  return [...counts].map(([status, count]) => `${count} × ${status === 0 ? 'no answer' : status}`).join(', ');
}

function limitsChecks(rows: readonly TenantRow[]): Verdict[] {
  const flood = rows.find((row) => row.tenant === FLOODER) as TenantRow;
  const over = rows.find((row) => row.tenant === OVER) as TenantRow;
  const others = rows.filter((row) => row !== flood && row !== over);
  // The free plan: 20/s with a burst of 20.
  const allowed = 20 * SECONDS + 20;
  return [
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
  ];
}

function identityChecks({ attempts, suspendedStatus }: Story): Verdict[] {
  const harmful = attempts.filter((attempt) => !attempt.isHarmless);
  return [
    check(
      'no spoofing attempt reached the application as somebody else',
      harmful.length === 0,
      harmful.length === 0 ? `${attempts.length} attempts` : harmful.map((attempt) => attempt.what).join(', '),
    ),
    check('the suspended tenant was refused', suspendedStatus === 403, `status ${suspendedStatus}`),
  ];
}

/** A sidecar was killed and the collector was away in between. */
function accountChecks({ accounts }: Story): Verdict[] {
  const sum = (pick: (account: Account) => number): number => accounts.reduce((total, each) => total + pick(each), 0);
  const [whole, recorded, cut] = [sum(({ whole }) => whole), sum(({ recorded }) => recorded), sum(({ cut }) => cut)];
  const isGood = accounts.every((each) => each.recorded >= each.whole && each.recorded <= each.whole + each.cut);
  return [
    check(
      'every answer is accounted once, over a SIGKILL of the sidecar and a stop of the collector',
      isGood && whole > 0,
      `${whole} answers, ${recorded} recorded${cut === 0 ? '' : `, ${cut} cut by the kill`}`,
    ),
  ];
}

/** Both ends of a hop have recorded it, each for itself. */
function entryChecks({ doubleEntry: { operation, answered, kept, sent, arrived } }: Story): Verdict[] {
  return [
    check(
      'what orders recorded as sent on is what arrived, by the operation at the edge',
      sent > 0 && sent === arrived && kept + sent === answered,
      `${operation}: ${answered} answered, ${kept} by orders, ${sent} sent to ${LITE}, ${arrived} arrived there`,
    ),
  ];
}

/** At the median: one that fell into a pause of a busy machine says nothing of the sidecar. All are printed. */
function changeChecks({ changesMs }: Story): Verdict[] {
  const median = percentile(changesMs, 0.5);
  const worst = Math.max(...changesMs);
  const text = Number.isFinite(worst)
    ? `${round(median)} ms at the median of ${changesMs.length}, ${round(worst)} at worst`
    : 'never';
  return [check('a changed limit bit within 100 ms', median < 100 && Number.isFinite(worst), text)];
}

/** What the application itself counted by the tenant it was told. */
export async function askApplication(stage: Stage): Promise<Record<string, number>> {
  const { body } = await request(`${stage.orders.url}/seen`);
  return (await body.json()) as Record<string, number>;
}

/** `tenant result` → requests, as the orders sidecar tells Prometheus. */
export async function askMetrics(stage: Stage): Promise<Record<string, number>> {
  const { body } = await request(`http://127.0.0.1:${stage.orders.sidecar.status}/metrics`);
  const rows = (await body.text()).matchAll(/^reeve_tenant_requests_total\{tenant="(.*)",result="(.*)"\} (\d+)$/gm);
  return Object.fromEntries([...rows].map(([, tenant, result, count]) => [`${tenant} ${result}`, Number(count)]));
}

/** What was counted between two looks. */
export function since(
  before: Readonly<Record<string, number>>,
  after: Readonly<Record<string, number>>,
): Record<string, number> {
  return Object.fromEntries(Object.entries(after).map(([name, count]) => [name, count - (before[name] ?? 0)]));
}

export function round(value: number): number {
  return Math.round(value * 10) / 10;
}
