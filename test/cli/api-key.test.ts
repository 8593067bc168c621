/** What examples/api-key.ts and examples/tokens.ts print is what a sidecar accepts. */
import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { httpBackend, root, sidecarForTest } from '../helpers/sidecar.ts';
import { makeTenancy } from '../helpers/tenancy.ts';

t.test('the key that examples/api-key.ts makes is good under the pepper it was made with', async (t) => {
  const dir = makeTenancy();
  t.teardown(() => dir.cleanUp());
  const made = spawnSync(process.execPath, [join(root, 'examples/api-key.ts'), dir.pepperFile, 'k7'], {
    encoding: 'utf8',
  });
  const [key, , ...yaml] = made.stdout.trimEnd().split('\n');
  dir.write(
    'k7.yaml',
    `apiVersion: reeve.dev/v1\nkind: Tenant\nmetadata: { name: keyed }\nspec:\n  plan: free\n  identity:\n    ${yaml.join('\n    ')}\n`,
  );
  const upstream = await httpBackend(t, (req, res) => res.end(req.headers['x-tenant-id']));
  const sidecar = await sidecarForTest(t, upstream, { tenancy: dir });
  const answer = await fetch(sidecar.url, { headers: { 'x-api-key': key as string } });
  t.equal(await answer.text(), 'keyed');
  const run = (...words: string[]) => spawnSync(process.execPath, words, { cwd: root, encoding: 'utf8' });
  writeFileSync(dir.pepperFile, '\n');
  t.match(run('examples/api-key.ts', dir.pepperFile, 'k8'), { status: 2, stdout: '', stderr: /the pepper is empty/ });
  t.match(run('examples/tokens.ts', '/nowhere'), { status: 2, stdout: '', stderr: /^\/nowhere: there is no such dir/ });
  t.match(spawnSync(process.execPath, [join(root, 'examples/api-key.ts')], { encoding: 'utf8' }), {
    status: 2,
    stderr: /^usage/,
  });
});

t.test('tokens of examples/tokens.ts are good after another run, and a file that is no key set stays', async (t) => {
  const sample = Object.fromEntries(
    ['identity.yaml', 'plans.yaml', 'tenants.yaml', 'keys.json'].map((file) => [
      file,
      readFileSync(join(root, 'config/tenancy', file), 'utf8'),
    ]),
  );
  const dir = makeTenancy({ ...sample, 'providers.yaml': '' });
  t.teardown(() => dir.cleanUp());
  const run = () =>
    spawnSync(process.execPath, [join(root, 'examples/tokens.ts'), dir.dir], { cwd: root, encoding: 'utf8' });
  const tokenOf = ({ stdout }: { stdout: string }): string => /^acme (\S+)$/m.exec(stdout)?.[1] as string;
  const first = run();
  t.match(first.stderr, /^wrote /);
  const second = run();
  t.match(second.stderr, /^added a key to .*keys\.json; tokens of the 1 before it are good as well\n$/);
  const upstream = await httpBackend(t, (req, res) => res.end(req.headers['x-tenant-id']));
  const sidecar = await sidecarForTest(t, upstream, { tenancy: dir });
  for (const made of [first, second]) {
    const answer = await fetch(sidecar.url, { headers: { authorization: `Bearer ${tokenOf(made)}` } });
    t.equal(await answer.text(), 'acme');
  }
  for (let i = 0; i < 10; i++) run();
  const file = join(dir.dir, 'keys.json');
  t.equal(JSON.parse(readFileSync(file, 'utf8')).keys.length, 10, 'bounded');
  for (const text of ['{', '[]', '{ "keys": 1 }']) {
    writeFileSync(file, text);
    t.match(run(), { status: 2, stdout: '', stderr: /keys\.json: is no set of keys, and is not replaced/ });
    t.equal(readFileSync(file, 'utf8'), text);
  }
});
