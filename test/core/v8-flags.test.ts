/** What V8 is told while it runs. What it does not know it says on the standard error of the process, and goes on. */
import { spawnSync } from 'node:child_process';
import t from 'tap';
import { inlineMore, systemHeap } from '../../src/core/index.ts';

t.test('the Node of the project knows what it is told', (t) => {
  const all = 'inlineMore(); systemHeap.takeQuietTimes(); systemHeap.setGrowing(false); systemHeap.shrink();';
  const room = JSON.stringify(import.meta.resolve('../../src/core/index.ts'));
  const program = `import { inlineMore, systemHeap } from ${room}; ${all}`;
  const flags = ['--disable-warning=ExperimentalWarning', '--input-type=module', '--eval'];
  const { status, stderr } = spawnSync(process.execPath, [...flags, program], { encoding: 'utf8', timeout: 30_000 });
  t.same({ status, stderr }, { status: 0, stderr: '' });
  t.doesNotThrow(inlineMore);
  t.doesNotThrow(systemHeap.takeQuietTimes);
  t.end();
});
