/** Before a real server nobody here wrote: npm publishes to and installs from verdaccio through a sidecar. */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { environmentOf, root } from '../helpers/sidecar.ts';

t.test('npm works through a sidecar, for each tenant within its limit', { timeout: 120_000 }, async (t) => {
  if (!existsSync(join(root, 'examples/npm-registry/node_modules/verdaccio'))) {
    t.comment('missing: verdaccio is not installed (npm ci --prefix examples/npm-registry)');
    return;
  }
  const { status, stdout, stderr } = spawnSync(process.execPath, [join(root, 'examples/npm-registry/run.ts')], {
    encoding: 'utf8',
    timeout: 110_000,
    env: environmentOf(process.env),
  });
  t.equal(status, 0, `${stdout}${stderr}`);
  t.comment(`figure: npm through the sidecar, ${(stdout.match(/^√/gm) ?? []).length} checks`);
});
