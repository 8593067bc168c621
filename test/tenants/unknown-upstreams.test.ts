import { join } from 'node:path';
import t from 'tap';
import { formatFinding, inspectTenancy, unknownUpstreams } from '../../src/tenants/index.ts';
import { document, makeTenancy } from '../helpers/tenancy.ts';

const NAMES = new Set(['application', 'exports-lite']);
const route = (name: string, upstream: string): string =>
  `apiVersion: reeve.dev/v1\nkind: Route\nmetadata: { name: ${name} }\nspec:\n  match: { path: /${name} }\n  degraded:\n    upstream: ${upstream}\n`;

t.test('a degraded upstream that the sidecar does not have is named at its place, with what was meant', async (t) => {
  const dir = makeTenancy({
    'other.yaml': '# exports-lit zzzzzz\n- 1\n',
    'broken.yaml': 'kind: Route # zzzzzz\n}',
    'empty.yaml': '# zzzzzz\n',
    'null.yaml': '~ # zzzzzz\n',
    'routes.yaml': `# a comment\n---\n${route('good', 'exports-lite')}---\n${route('typo', 'exports-lit')}---\n${route('far', 'zzzzzz')}`,
    'more.yaml': document('Route', 'plain', { match: { path: '/plain' } }),
  });
  t.teardown(() => dir.cleanUp());
  const { snapshot } = await inspectTenancy(dir.dir);
  const lines = (await unknownUpstreams(dir.dir, snapshot, NAMES)).map(formatFinding).sort();
  t.match(lines, [
    /^routes\.yaml:17:\d+ warning: Route "typo" spec\.degraded\.upstream: the sidecar has no upstream "exports-lit".*\(did you mean exports-lite\?\)$/,
    /^routes\.yaml:25:\d+ warning: Route "far" .*"zzzzzz".*\(add it to spec\.upstreams of the boot file\)$/,
  ]);
  t.same(await unknownUpstreams(dir.dir, snapshot, new Set([...NAMES, 'exports-lit', 'zzzzzz'])), []);
});

t.test('a directory that is gone in between still has its slips named', async (t) => {
  const dir = makeTenancy({ 'routes.yaml': route('typo', 'exports-lit') });
  t.teardown(() => dir.cleanUp());
  const { snapshot } = await inspectTenancy(dir.dir);
  const away = join(dir.dir, 'away');
  t.match(await unknownUpstreams(away, snapshot, NAMES), [{ file: away, line: 0, name: 'typo' }]);
});
