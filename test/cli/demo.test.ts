/** The demo's verdict fails for each number that does not check, and what the demo prints to try does what it says. */
import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import t from 'tap';
import { judge, rowsOf, type Story } from '../../src/cli/demo/verdict.ts';
import { type Ending, environmentOf, REEVE, root } from '../helpers/sidecar.ts';

/** A story in which every number checks: the flooder, the one over its plan, and a neighbour. */
function goodStory(): Story {
  const tally = (name: string, sent: number, ok: number, degradedSeen = 0) => ({
    tenant: { name, plan: 'pro', org: `org_${name}` },
    sent,
    statuses: new Map([
      [200, ok],
      [429, sent - ok],
    ]),
    latencies: [1, 2, 3],
    degradedSeen,
    wrongTenant: 0,
  });
  return {
    tallies: [tally('umbrella', 2400, 140), tally('stark', 360, 360, 70), tally('acme', 60, 60)],
    decisions: new Map([
      [
        'umbrella',
        new Map([
          ['pass', 140],
          ['refused', 2260],
        ]),
      ],
      [
        'stark',
        new Map([
          ['pass', 100],
          ['notice', 10],
          ['credit', 10],
          ['shape', 170],
          ['degrade', 70],
        ]),
      ],
      ['acme', new Map([['pass', 60]])],
    ]),
    seen: { umbrella: 140, stark: 360, acme: 60, globex: 0 },
    metrics: { 'umbrella passed': 140, 'umbrella refused': 2260, 'stark passed': 360, 'acme passed': 60 },
    attempts: [{ what: 'x-tenant-id', status: 200, seenAs: 'hooli', isHarmless: true }],
    changesMs: [20, 30, 25],
    suspendedStatus: 403,
    accounts: [{ tenant: 'acme', whole: 24, cut: 1, recorded: 25 }],
    doubleEntry: { operation: 'orders/exports', answered: 24, kept: 12, sent: 12, arrived: 12 },
  };
}

const failedOf = (story: Story): string[] =>
  judge(story)
    .filter((each) => !each.isGood)
    .map((each) => each.what);

t.test('each number of the demo is checked: one that is off fails the check of its name', async (t) => {
  const good = goodStory();
  t.same(failedOf(good), []);
  t.match(rowsOf(good)[1], { passed: 120, shaped: 170, degraded: 70, refused: 0, p50Ms: 2, p99Ms: 3 });
  const change = (name: string, by: (story: Story) => Partial<Story>): string[] => {
    const failed = failedOf({ ...good, ...by(goodStory()) });
    t.ok(failed.length > 0, `${name}: ${failed.join('; ')}`);
    return failed;
  };
  const tallies = (at: number, more: object) => (story: Story) => ({
    tallies: story.tallies.map((tally, i) => (i === at ? { ...tally, ...more } : tally)),
  });
  const decisions = (name: string, counts: Record<string, number>) => (story: Story) => ({
    decisions: new Map(story.decisions).set(name, new Map(Object.entries(counts))),
  });
  t.match(change('a request that was decided twice', decisions('acme', { pass: 61 })), [/decided once/]);
  t.match(
    change('the application saw one more', (s) => ({ seen: { ...s.seen, acme: 61 } })),
    [/application saw/],
  );
  t.match(
    change('or one of nobody', (s) => ({ seen: { ...s.seen, nobody: 1 } })),
    [/application saw/],
  );
  t.match(
    change(
      'a client got a 500',
      tallies(2, {
        statuses: new Map([
          [200, 59],
          [500, 1],
        ]),
      }),
    ),
    [/clients got/],
  );
  t.match(
    change(
      'or no answer',
      tallies(2, {
        statuses: new Map([
          [200, 59],
          [0, 1],
        ]),
      }),
    ),
    [/clients got/],
  );
  t.match(change('the header of degraded service was lost', tallies(1, { degradedSeen: 0 })), [/less of the answer/]);
  t.match(
    change('Prometheus lost one', (s) => ({ metrics: { ...s.metrics, 'acme passed': 59 } })),
    [/Prometheus/],
  );
  t.match(change('an answer of another', tallies(2, { wrongTenant: 1 })), [/tenant that asked/]);
  t.match(
    change('the flood got more', decisions('umbrella', { pass: 200, refused: 2200 })).join(),
    /limit and no more/,
  );
  t.match(change('the flood got less', decisions('umbrella', { pass: 20, refused: 2380 })).join(), /limit and no more/);
  t.match(change('refused too early', decisions('stark', { shape: 300, refused: 60 })).join(), /shaped and degraded/);
  t.match(change('a neighbour was shaped', decisions('acme', { pass: 59, shape: 1 })).join(), /nobody else/);
  t.match(
    change('a spoof got through', () => ({
      attempts: [{ what: 'forged', status: 200, seenAs: 'acme', isHarmless: false }],
    })),
    [/no spoofing attempt/],
  );
  const account = { tenant: 'acme', whole: 24, cut: 1, recorded: 25 };
  for (const [name, recorded] of [
    ['an answer that was not accounted', 23],
    ['one that was accounted twice', 26],
  ] as const)
    t.match(
      change(name, () => ({ accounts: [{ ...account, recorded }] })),
      [/accounted once/],
    );
  const entry = { operation: 'orders/exports', answered: 24, kept: 12, sent: 12, arrived: 12 };
  for (const [name, more] of [
    ['one that was sent did not arrive', { arrived: 11 }],
    ['one arrived that nobody sent', { arrived: 13 }],
    ['nothing was sent on', { kept: 24, sent: 0, arrived: 0 }],
    ['an answer that neither recorded', { answered: 25 }],
  ] as const)
    t.match(
      change(name, () => ({ doubleEntry: { ...entry, ...more } })),
      [/recorded as sent on/],
    );
  t.match(
    change('a suspended tenant got in', () => ({ suspendedStatus: 200 })),
    [/suspended/],
  );
  t.match(
    change('a change came late', () => ({ changesMs: [20, 130, 110] })),
    [/changed limit/],
  );
  t.match(
    change('or never', () => ({ changesMs: [20, 20, Number.POSITIVE_INFINITY] })),
    [/changed limit/],
  );
});

/** The demo in a process group of its own, with what it has printed so far. */
function startDemo(t: Ending): { child: ChildProcess; text: () => string; until: (pattern: RegExp) => Promise<void> } {
  const child = spawn(process.execPath, [REEVE, 'demo'], {
    cwd: root,
    detached: true,
    env: environmentOf(process.env),
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  t.teardown(() => {
    try {
      process.kill(-(child.pid as number), 'SIGKILL');
    } catch {
      // Gone, as it should be.
    }
  });
  let text = '';
  const changed = new EventTarget();
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (chunk: Buffer) => {
      text += chunk.toString();
      changed.dispatchEvent(new Event('text'));
    });
  const until = (pattern: RegExp): Promise<void> =>
    new Promise((resolve) => {
      const look = (): void => void (pattern.test(text) && resolve());
      changed.addEventListener('text', look);
      look();
    });
  return { child, text: () => text, until };
}

const ended = (child: ChildProcess): Promise<number | null> => new Promise((resolve) => child.once('close', resolve));

/** Processes of the group that are left. */
function leftOf(child: ChildProcess): string[] {
  const { stdout } = spawnSync('ps', ['-eo', 'pgid=,pid=,args='], { encoding: 'utf8' });
  return stdout.split('\n').filter((line) => line.trim().startsWith(`${child.pid} `));
}

t.test(
  'the demo stays, what it prints to try does what it says, and Ctrl-C ends all',
  { timeout: 60_000 },
  async (t) => {
    const { child, text, until } = startDemo(t);
    await until(/Ctrl-C ends it/);
    t.match(text(), /\numbrella +free +2400 +\d+ +0 +0 +\d+ /, 'a table by tenant');
    t.match(text(), /its own token on acme's host +403 +did not reach the application/, 'the attempts');
    t.match(text(), /a changed limit took ([\d.]+, ){4}[\d.]+ ms/);
    const token = /TOKEN=(\S+)/.exec(text())?.[1] as string;
    const commands = [...text().matchAll(/^ {2}((?:curl|npm) .*)$/gm)].map(([, line]) => line as string);
    const run = (line: string): string =>
      execFileSync('bash', ['-c', line], { cwd: root, encoding: 'utf8', env: { ...process.env, TOKEN: token } });
    const [own, forged, without, metrics, explained, used, ...rest] = commands.map(run) as [
      string,
      string,
      string,
      string,
      string,
      string,
    ];
    t.same(rest, []);
    t.match(own, /^HTTP\/1\.1 200 [\s\S]*RateLimit: [\s\S]*"tenant":"acme"/i);
    t.match(forged, /^HTTP\/1\.1 200 [\s\S]*"tenant":"acme"/);
    t.match(without, /^HTTP\/1\.1 401 [\s\S]*credential-missing/);
    t.match(metrics, /reeve_requests_total\{plan="pro",decision="pass",code_class="2xx"\} \d+/);
    t.match(explained, /requests +40\/s, [\d.]+ of 40 left[\s\S]*GET \/orders would get: √ pass/);
    t.match(used, /requests\t\d+/, 'what acme used');
    const file = /\$EDITOR (\S+)/.exec(text())?.[1] as string;
    writeFileSync(`${file}.new`, readFileSync(file, 'utf8').replace('limit: 40/s', 'limit: 41/s'));
    renameSync(`${file}.new`, file);
    while (!run(commands[4] as string).includes('requests     41/s')) t.comment('not yet');
    writeFileSync(`${file}.new`, readFileSync(file, 'utf8').replace('limit: 20/s', 'limit: 20'));
    renameSync(`${file}.new`, file);
    await until(/^plans\.yaml:6:30 Plan "free" .*did you mean 20\/s\?/m);
    child.kill('SIGINT');
    await ended(child);
    t.same(leftOf(child), [], 'no process is left');
    t.notOk(existsSync(dirname(dirname(file))), 'no directory is left');
  },
);

t.test('a Ctrl-C in the middle ends all; a process that is lost is named', { timeout: 60_000 }, async (t) => {
  const [first, second] = [startDemo(t), startDemo(t)];
  await Promise.all([first.until(/traffic: /), second.until(/traffic: /)]);
  first.child.kill('SIGINT');
  t.equal(await ended(first.child), 130);
  t.same(leftOf(first.child), []);
  const orders = leftOf(second.child).find((line) => line.includes('services/orders.ts')) as string;
  process.kill(Number(orders.trim().split(/\s+/)[1]), 'SIGKILL');
  t.equal(await ended(second.child), 1);
  t.match(second.text(), /reeve: orders ended \(SIGKILL\) while it was needed\n/);
  t.same(leftOf(second.child), []);
});

t.test('the sample tenancy is what the demo counts on', async (t) => {
  const plans = readFileSync(join(root, 'config/tenancy/plans.yaml'), 'utf8');
  t.match(plans, /name: free[\s\S]*?limit: 20\/s, burst: 20/);
});
