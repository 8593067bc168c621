/** `reeve demo`: the main job on real traffic, every number checked. */
import { setTimeout as sleep } from 'node:timers/promises';
import { EXIT } from '../exit.ts';
import { type Form, NO, paint, printJson, table, YES } from '../output.ts';
import { keepAccounts } from './accounting.ts';
import { timeChanges, trySuspended } from './changes.ts';
import { askBothEnds, runExports } from './double-entry.ts';
import { trySpoofing } from './spoofing.ts';
import { openStage, type Stage } from './stage.ts';
import { runTraffic, warmUp } from './traffic.ts';
import { askApplication, askMetrics, judge, round, rowsOf, type Story, since, type Verdict } from './verdict.ts';

interface DemoOptions {
  readonly once?: boolean;
  readonly output: Form;
}

/** As a shell says it: ended by SIGINT. */
const INTERRUPTED = 130;

export async function demo({ once = false, output }: DemoOptions): Promise<void> {
  const say = (text: string): void => void (output === 'text' && process.stdout.write(text));
  // From the first process on, so that a Ctrl-C at any time ends them all.
  const stopped = stopSignal();
  say('starting orders and payments, a sidecar before each and one for degraded exports, and a collector\n');
  const stage = await openStage();
  try {
    const isTold = await Promise.race([perform(stage, output, say), stage.lost, stopped.then(() => false)]);
    if (!isTold) process.exitCode = INTERRUPTED;
    else if (!once && output === 'text') {
      say(whatToTry(stage));
      await Promise.race([stopped, stage.lost]);
    }
  } finally {
    await stage.close();
  }
  // Traffic that was under way has nobody to talk to.
  if (process.exitCode === INTERRUPTED) process.exit();
}

function stopSignal(): Promise<void> {
  return new Promise((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => resolve());
  });
}

async function perform(stage: Stage, output: Form, say: (text: string) => void): Promise<true> {
  say('traffic: 11 tenants for 6 s, umbrella at 20 times its limit, stark at one and a half times\n');
  const story = await tell(stage, say);
  const verdicts = judge(story);
  if (output === 'json') printJson(asJson(story, verdicts));
  else say(asText(story, verdicts));
  const failed = verdicts.filter((each) => !each.isGood);
  if (failed.length > 0) process.exitCode = EXIT.findings;
  for (const { what, detail } of failed) process.stderr.write(`reeve: this does not hold: ${what} (${detail})\n`);
  return true;
}

function showProgress(share: number): void {
  if (process.stderr.isTTY) process.stderr.write(share < 1 ? `\r${Math.round(share * 100)} % ` : '\r\u001b[K');
}

async function tell(stage: Stage, say: (text: string) => void): Promise<Story> {
  await warmUp(stage);
  await settled(stage);
  stage.decisions.clear();
  const before = { seen: await askApplication(stage), metrics: await askMetrics(stage) };
  const tallies = await runTraffic(stage, showProgress);
  showProgress(1);
  const decisions = await settled(stage);
  const seen = since(before.seen, await askApplication(stage));
  const metrics = since(before.metrics, await askMetrics(stage));
  const attempts = await trySpoofing(stage);
  const changesMs = await timeChanges(stage);
  const suspendedStatus = await trySuspended(stage);
  say('accounts: more traffic, in which the orders sidecar is killed and the collector is away\n');
  const exports = await runExports(stage);
  const accounts = await keepAccounts(stage);
  const doubleEntry = await askBothEnds(stage, exports);
  return { tallies, seen, decisions, metrics, attempts, changesMs, suspendedStatus, accounts, doubleEntry };
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
  const spoofs = story.attempts.map((attempt) => [attempt.what, attempt.status, became(attempt)]);
  const checks = verdicts.map(({ what, isGood, detail }) => [isGood ? YES() : NO(), what, detail]);
  const failed = verdicts.filter((each) => !each.isGood).length;
  const sum = failed === 0 ? 'every number checks' : `${failed} of ${verdicts.length} checks failed`;
  return [
    '',
    table(['tenant', 'plan', 'sent', 'passed', 'shaped', 'degraded', 'refused', 'p50 ms', 'p99 ms'], rows),
    table(['spoofing by hooli', 'status', 'what became of it'], spoofs),
    `a changed limit took ${story.changesMs.map(round).join(', ')} ms from the rename to the first request decided by it\n`,
    table(['', 'check', ''], checks),
    `${paint(failed === 0 ? 'green' : 'red', sum)}\n`,
  ].join('\n');
}

function became({ status, seenAs, isHarmless }: Story['attempts'][number]): string {
  if (seenAs === undefined) return status === 0 ? paint('red', 'no answer') : 'did not reach the application';
  return isHarmless ? `reached it as ${seenAs}, its own tenant` : paint('red', `REACHED IT AS ${seenAs}`);
}

function whatToTry(stage: Stage): string {
  const { inbound, status, admin } = stage.orders.sidecar;
  const token = stage.credentials.token(stage.tenants.find((each) => each.name === 'acme')?.org as string);
  return `
The orders sidecar is up. In another terminal:

  TOKEN=${token}

  # who you are comes from the token; what is left comes back as RateLimit
  curl -i -H "Authorization: Bearer $TOKEN" http://127.0.0.1:${inbound}/orders
  # saying that you are somebody else changes nothing
  curl -i -H "Authorization: Bearer $TOKEN" -H "X-Tenant-Id: globex" http://127.0.0.1:${inbound}/orders
  # without a token nobody gets through
  curl -i http://127.0.0.1:${inbound}/orders
  # what Prometheus gets
  curl -s http://127.0.0.1:${status}/metrics | grep reeve_requests_total
  # why a request of a tenant gets what it gets
  npm run -s reeve -- limits check acme --path /orders --admin http://127.0.0.1:${admin}
  # what it used, by where it began and which service it cost
  npm run -s reeve -- usage acme --by operation,service --collector ${stage.collector}
  # change a limit, save, and ask again
  $EDITOR ${stage.dir}/tenancy/plans.yaml

Ctrl-C ends it.
`;
}
