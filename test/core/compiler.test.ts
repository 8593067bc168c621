/** V8 says what it does not know on the standard error of the process, and goes on. */
import { spawnSync } from 'node:child_process';
import t from 'tap';
import { inlineMore } from '../../src/core/index.ts';

t.test('the Node of the project knows what the compiler is told', (t) => {
  const program = `import { inlineMore } from ${JSON.stringify(import.meta.resolve('../../src/core/index.ts'))}; inlineMore();`;
  const flags = ['--disable-warning=ExperimentalWarning', '--input-type=module', '--eval'];
  const { status, stderr } = spawnSync(process.execPath, [...flags, program], { encoding: 'utf8', timeout: 30_000 });
  t.same({ status, stderr }, { status: 0, stderr: '' });
  t.doesNotThrow(inlineMore);
  t.end();
});
