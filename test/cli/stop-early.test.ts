/** A signal that comes while a process starts is obeyed as one that comes later: in order, with 0. */
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import t from 'tap';
import { type Ending, environmentOf, REEVE } from '../helpers/sidecar.ts';
import { makeTenancy } from '../helpers/tenancy.ts';

/** Runs it until its first line, which comes before it is up; then a SIGTERM. What it said, and its exit code. */
async function stopAtFirstLine(t: Ending, args: readonly string[]): Promise<{ code: number | null; lines: string[] }> {
  const env = environmentOf(process.env);
  const child = spawn(process.execPath, [REEVE, ...args], { env, stdio: ['ignore', 'pipe', 'inherit'] });
  t.teardown(() => child.kill('SIGKILL'));
  const lines: string[] = [];
  createInterface({ input: child.stdout }).on('line', (line) => {
    if (lines.length === 0) child.kill('SIGTERM');
    lines.push((JSON.parse(line) as { event: string }).event);
  });
  const code = await new Promise<number | null>((resolve) => child.once('close', resolve));
  return { code, lines };
}

const anyPort = (...names: string[]): string[] => names.flatMap((name) => [`--${name}-port`, '0']);

t.test('a sidecar', async (t) => {
  const tenancy = makeTenancy();
  t.teardown(() => tenancy.cleanUp());
  const more = ['--tenancy-dir', tenancy.dir, '--identity-pepper-file', tenancy.pepperFile];
  const ports = anyPort('inbound', 'status', 'admin', 'application');
  const { code, lines } = await stopAtFirstLine(t, ['sidecar', '--upstream', 'http://127.0.0.1:9', ...more, ...ports]);
  t.not(lines[0], 'sidecar.started');
  t.equal(lines.at(-1), 'sidecar.stopped');
  t.equal(code, 0);
});

t.test('a collector', async (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'reeve-stop-'));
  t.teardown(() => rmSync(dir, { recursive: true, force: true }));
  const { code, lines } = await stopAtFirstLine(t, ['collector', '--dir', dir, ...anyPort('grpc', 'http', 'status')]);
  t.not(lines[0], 'collector.started');
  t.equal(code, 0);
});
