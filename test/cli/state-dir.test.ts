/** A state directory is one sidecar's alone: real processes, a real disk. */
import { existsSync, mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { lockStateDir } from '../../src/cli/state-dir.ts';
import { childSidecar, httpBackend, settings } from '../helpers/sidecar.ts';
import { makeTenancy } from '../helpers/tenancy.ts';

t.test('a second sidecar on it does not start, and says why; when the first is killed the next one does', async (t) => {
  const upstream = await httpBackend(t, (_req, res) => res.end('ok'));
  const tenancy = makeTenancy();
  t.teardown(() => tenancy.cleanUp());
  const given = settings(upstream, tenancy, { stateDir: tenancy.stateDir });
  const first = await childSidecar(t, given);
  await t.rejects(childSidecar(t, given), {
    message: /exited with 1: .*state is another sidecar’s \(give each sidecar a stateDir of its own\)/,
  });
  t.equal((await fetch(`http://127.0.0.1:${first.ports.status}/readyz`)).status, 200, 'the first goes on');
  first.child.kill('SIGKILL');
  await first.exited;
  const next = await childSidecar(t, given);
  next.child.kill('SIGTERM');
  t.equal(await next.exited, 0);
  t.equal(statSync(join(tenancy.stateDir, 'sidecar.lock'), { throwIfNoEntry: false }), undefined, 'it gave it back');
});

t.test('the spool may stand in the same directory', async (t) => {
  const upstream = await httpBackend(t, (_req, res) => res.end('ok'));
  const tenancy = makeTenancy();
  t.teardown(() => tenancy.cleanUp());
  const { stateDir } = tenancy;
  const metering = { 'metering.dir': stateDir, 'metering.collector.address': '127.0.0.1:9' };
  const only = await childSidecar(t, settings(upstream, tenancy, { stateDir, ...metering }));
  t.equal((await fetch(`http://127.0.0.1:${only.ports.status}/readyz`)).status, 200);
});

t.test('where nothing can be written or read nobody is refused', async (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'reeve-state-'));
  t.teardown(() => rmSync(dir, { recursive: true, force: true }));
  const file = join(dir, 'file');
  writeFileSync(file, '');
  lockStateDir(join(file, 'state'))();
  // What stands there is no lock that could be read.
  const strange = join(dir, 'strange');
  mkdirSync(join(strange, 'sidecar.lock'), { recursive: true });
  lockStateDir(strange)();
  t.ok(statSync(join(strange, 'sidecar.lock')).isDirectory(), 'it is left alone');
  lockStateDir(join(dir, 'a/b/c'))();
  t.ok(statSync(join(dir, 'a/b/c')).isDirectory(), 'it is made with all above it');
});

t.test(
  'a file system that knows no directories is named, instead of asked for ever',
  { skip: !existsSync('/proc') },
  (t) => {
    t.throws(() => lockStateDir('/proc/reeve/state'), { code: 'state-impossible', place: '/proc/reeve' });
    t.end();
  },
);
