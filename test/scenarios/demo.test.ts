/** The main job as a new user runs it: every number of the demo is checked by the demo, and its exit code says so. */
import { spawnSync } from 'node:child_process';
import t from 'tap';
import { environmentOf, REEVE } from '../helpers/sidecar.ts';

t.test('demo --once checks every number and exits 0', { timeout: 60_000 }, async (t) => {
  const { status, stdout, stderr } = spawnSync(process.execPath, [REEVE, 'demo', '--once', '-o', 'json'], {
    encoding: 'utf8',
    timeout: 55_000,
    env: environmentOf(process.env),
  });
  t.equal(status, 0, stderr);
  const story = JSON.parse(stdout) as {
    success: boolean;
    tenants: { tenant: string; refused: number }[];
    spoofing: { isHarmless: boolean }[];
    changed_limit_ms: number[];
    checks: { what: string; isGood: boolean; detail: string }[];
  };
  for (const { what, isGood, detail } of story.checks) t.ok(isGood, `${what}: ${detail}`);
  t.equal(story.tenants.length, 11);
  t.ok(story.spoofing.length >= 8);
  t.comment(
    `figure: demo, a changed limit bites after ${Math.max(...story.changed_limit_ms)} ms at worst of ${story.changed_limit_ms.length}`,
  );
});
