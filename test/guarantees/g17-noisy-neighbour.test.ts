/**
 * G17: a tenant that floods at 20 times its limit changes another's p99 by at most 20 % and costs it no refusal. The flood comes from a process of
 * its own and never stops; in half of the rounds it is aimed at the neighbour's sidecar, in the others at a sidecar elsewhere. So the
 * machine is as busy in both, and what differs is what sharing a sidecar and an application costs. The order turns pair by pair.
 */
import { fork } from 'node:child_process';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { Pool } from 'undici';
import { quantile } from '../helpers/processes.ts';
import { childSidecar, httpBackend, root, settings } from '../helpers/sidecar.ts';
import { makeTenancy, plan, tenant } from '../helpers/tenancy.ts';
import { tokenFor } from '../helpers/tokens.ts';

const PAIRS = 8;
const ROUND_MS = 1500;
const LIMIT = 20;
/** What passes at once must not be a queue at the application: that would be the limit that was granted, not the flood. */
const BURST = 2;
const STEADY_PER_SEC = 100;
/** The application takes 10 ms: what a neighbour adds is measured against a real request, not against a loopback echo. */
const APPLICATION_MS = 10;
const P99_RATIO_MAX = 1.2;
interface Round {
  readonly latencies: readonly number[];
  readonly refused: number;
}

t.test('a flood at 20 times the limit is not felt next door', { timeout: 120_000 }, async (t) => {
  // The application admits one tenant's flood no faster than it can serve: without a limit in front of it, its neighbours wait.
  let atWork = 0;
  const waiting: (() => void)[] = [];
  const upstream = await httpBackend(t, (_req, res) => {
    const work = (): void => {
      atWork++;
      setTimeout(() => {
        res.end('ok');
        atWork--;
        waiting.shift()?.();
      }, APPLICATION_MS);
    };
    if (atWork < 4) work();
    else waiting.push(work);
  });
  const tenancy = makeTenancy({
    'plans.yaml':
      plan('free', { rate: { requests: { limit: `${LIMIT}/s`, burst: BURST } }, degrade: ['reject'] }) +
      plan('pro', {}),
    'tenants.yaml': tenant('acme', { plan: 'pro' }) + tenant('globex'),
  });
  t.teardown(() => tenancy.cleanUp());
  const sidecar = await childSidecar(t, settings(upstream, tenancy));
  const elsewhere = await childSidecar(t, settings(await httpBackend(t, (_req, res) => res.end('ok')), tenancy));
  const port = sidecar.ports.inbound;
  const flooder = fork(join(root, 'test/helpers/flood.ts'), [tokenFor('org_globex'), String(LIMIT * 20)]);
  t.teardown(() => flooder.kill('SIGKILL'));
  const pool = new Pool(`http://127.0.0.1:${port}`, { connections: 16 });
  t.teardown(() => pool.destroy());
  let flood = { sent: 0, passed: 0 };

  const steady = async (): Promise<Round> => {
    const headers = { authorization: `Bearer ${tokenFor('org_acme')}` };
    const latencies: number[] = [];
    let refused = 0;
    const began = performance.now();
    const pending: Promise<void>[] = [];
    for (let i = 0; i < (STEADY_PER_SEC * ROUND_MS) / 1000; i++) {
      const due = began + (i * 1000) / STEADY_PER_SEC;
      if (due - performance.now() > 1) await sleep(due - performance.now());
      const sent = performance.now();
      pending.push(
        pool.request({ method: 'GET', path: '/', headers }).then(async ({ statusCode, body }) => {
          await body.dump();
          latencies.push(performance.now() - sent);
          if (statusCode !== 200) refused++;
        }),
      );
    }
    await Promise.all(pending);
    return { latencies, refused };
  };
  const round = async (isFlooded: boolean): Promise<Round> => {
    flooder.send(isFlooded ? port : elsewhere.ports.inbound);
    const result = await steady();
    flooder.send(0);
    flood = await new Promise((resolve) => flooder.once('message', (message) => resolve(message as typeof flood)));
    return result;
  };

  await round(true);
  const [quiet, loud]: [Round[], Round[]] = [[], []];
  for (let pair = 0; pair < PAIRS; pair++) {
    const isLoudFirst = pair % 2 === 1;
    const [first, second] = [await round(isLoudFirst), await round(!isLoudFirst)];
    quiet.push(isLoudFirst ? second : first);
    loud.push(isLoudFirst ? first : second);
  }
  const p99 = (rounds: readonly Round[]): number =>
    quantile(
      rounds.flatMap((each) => each.latencies),
      0.99,
    );
  const [before, after] = [p99(quiet), p99(loud)];
  const paired = quantile(
    quiet.map((each, at) => p99([loud[at] as Round]) / p99([each])),
    0.5,
  );
  // Either may be moved by one stall of the machine; what a neighbour costs moves both.
  const ratio = Math.min(after / before, paired);
  const refused = loud.reduce((sum, each) => sum + each.refused, 0);
  t.equal(refused, 0);
  t.ok(
    ratio <= P99_RATIO_MAX,
    `p99 ${before.toFixed(2)} ms quiet, ${after.toFixed(2)} ms flooded, paired ${paired.toFixed(2)}`,
  );
  t.ok(flood.sent > PAIRS * LIMIT * 10, `${flood.sent} requests flooded`);
  t.ok(flood.passed < flood.sent / 4, `${flood.passed} of the flood's ${flood.sent} passed`);
  t.comment(
    `G17 noisy neighbour: p99 ${before.toFixed(2)} ms with the flood elsewhere, ${after.toFixed(2)} ms with it here (${(100 * (ratio - 1)).toFixed(1)} %), ${refused} refusals`,
  );
});
