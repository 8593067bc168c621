/** `reeve demo`: the main job on real traffic, every number checked. */
import { setTimeout as sleep } from 'node:timers/promises';
import { EXIT } from '../exit.ts';
import { table } from '../output.ts';
import { timeChanges, trySuspended } from './changes.ts';
import { trySpoofing } from './spoofing.ts';
import { openStage, type Stage } from './stage.ts';
import { runTraffic, warmUp } from './traffic.ts';
import { askApplication, judge, round, rowsOf, type Story, type Verdict } from './verdict.ts';

interface DemoOptions {
  readonly once?: boolean;
  readonly output: 'text' | 'json';
}

export async function demo({ once = false, output }: DemoOptions): Promise<void> {
  const say = (text: string): void => void (output === 'text' && process.stdout.write(text));
  say('starting orders and payments, a sidecar before each\n');
  const stage = await openStage();
  try {
    say('traffic: 11 tenants for 6 s, umbrella at 20 times its limit, stark at one and a half times\n');
    const story = await tell(
      stage,
      (share) => process.stderr.isTTY && process.stderr.write(`\r${Math.round(share * 100)} % `),
    );
    const verdicts = judge(story);
    process.stdout.write(
      output === 'json' ? `${JSON.stringify(asJson(story, verdicts), null, 2)}\n` : asText(story, verdicts),
    );
    if (verdicts.some((each) => !each.isGood)) process.exitCode = EXIT.findings;
    if (!once) await stay(stage, say);
  } finally {
    await stage.close();
  }
}

async function tell(stage: Stage, onProgress: (share: number) => void): Promise<Story> {
  await warmUp(stage);
  await settled(stage);
  stage.decisions.clear();
  const before = await askApplication(stage);
  const tallies = await runTraffic(stage, onProgress);
  const decisions = await settled(stage);
  const after = await askApplication(stage);
  const seen = Object.fromEntries(
    Object.entries(after).map(([tenant, count]) => [tenant, count - (before[tenant] ?? 0)]),
  );
  const attempts = await trySpoofing(stage);
  const changesMs = await timeChanges(stage);
  return { tallies, seen, decisions, attempts, changesMs, suspendedStatus: await trySuspended(stage) };
}

/** The access log comes through a pipe, a moment after the answers. Waits until nothing more comes, and copies what came. */
async function settled(stage: Stage): Promise<Story['decisions']> {
  const logged = (): number =>
    [...stage.decisions.values()].flatMap((counts) => [...counts.values()]).reduce((a, b) => a + b, 0);
  let before = -1;
  while (logged() !== before) {
    before = logged();
    await sleep(150);
  }
  return structuredClone(stage.decisions);
}

function asJson(story: Story, verdicts: readonly Verdict[]): object {
  return {
    tenants: rowsOf(story),
    spoofing: story.attempts,
    changed_limit_ms: story.changesMs.map(round),
    checks: verdicts,
    success: verdicts.every((each) => each.isGood),
  };
}

function asText(story: Story, verdicts: readonly Verdict[]): string {
  const rows = rowsOf(story).map((row) => [
    row.tenant,
    row.plan,
    row.sent,
    row.passed,
    row.shaped,
    row.degraded,
    row.refused,
    row.p50Ms,
    row.p99Ms,
  ]);
  const spoofs = story.attempts.map(({ what, status, seenAs }) => [
    what,
    status,
    seenAs === undefined ? 'did not reach the application' : `reached it as ${seenAs}, its own tenant`,
  ]);
  const checks = verdicts.map(({ what, isGood, detail }) => [isGood ? '√' : '×', what, detail]);
  return [
    '',
    table(['tenant', 'plan', 'sent', 'passed', 'shaped', 'degraded', 'refused', 'p50 ms', 'p99 ms'], rows),
    table(['spoofing by hooli', 'status', 'what became of it'], spoofs),
    `a changed limit took ${story.changesMs.map(round).join(', ')} ms from the rename to the first request decided by it\n`,
    table(['', 'check', ''], checks),
  ].join('\n');
}

/** Stays up until Ctrl-C, with commands to try. */
async function stay(stage: Stage, say: (text: string) => void): Promise<void> {
  const { inbound, status, admin } = stage.orders.sidecar;
  const token = stage.credentials.token(stage.tenants.find((each) => each.name === 'acme')?.org as string);
  say(`
The orders sidecar is up. In another terminal:

  TOKEN=${token}
  curl -i -H "Authorization: Bearer $TOKEN" http://127.0.0.1:${inbound}/orders
  curl -i -H "Authorization: Bearer $TOKEN" -H "X-Tenant-Id: globex" http://127.0.0.1:${inbound}/orders
  curl -i http://127.0.0.1:${inbound}/orders
  curl -s http://127.0.0.1:${status}/metrics | grep reeve_requests_total
  npm run -s reeve -- limits check acme --admin http://127.0.0.1:${admin}
  $EDITOR ${stage.dir}/tenancy/tenants.yaml

Ctrl-C ends it.
`);
  await new Promise<void>((resolve) => {
    const forever = setInterval(() => {}, 1 << 30);
    for (const signal of ['SIGINT', 'SIGTERM'] as const) {
      process.once(signal, () => {
        clearInterval(forever);
        resolve();
      });
    }
  });
}
