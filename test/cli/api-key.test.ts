/** What examples/api-key.ts prints is what a sidecar accepts. */
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
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
