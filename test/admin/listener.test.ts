/** An answer that is a file: its bytes go out and it is removed, whatever becomes of the answer. */
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { listen } from '../../src/admin/index.ts';
import { systemTimers } from '../../src/core/index.ts';
import { becomes } from '../helpers/processes.ts';

t.test('a file is sent whole to who asks, not at all to HEAD, and never left', async (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'reeve-listener-'));
  t.teardown(() => rmSync(dir, { recursive: true, force: true }));
  const file = join(dir, 'answer');
  const page = { status: 200, contentType: 'text/csv', body: '', file, headers: { 'x-rows': '2' } };
  const listener = await listen(
    { host: '127.0.0.1', port: 0, timers: systemTimers, name: 'http', answerMsMax: 20_000 },
    async () => page,
  );
  t.teardown(() => listener.close());
  const url = `http://127.0.0.1:${listener.port}/`;
  writeFileSync(file, 'a,b\n'.repeat(100_000));
  const answer = await fetch(url);
  t.equal(answer.headers.get('x-rows'), '2');
  t.equal((await answer.text()).length, 400_000);
  t.ok(await becomes(() => !existsSync(file)), 'removed');
  writeFileSync(file, 'a,b\n');
  const head = await fetch(url, { method: 'HEAD' });
  t.equal(head.status, 200);
  t.ok(await becomes(() => !existsSync(file)), 'also when nobody asked for its bytes');
  await t.rejects(
    fetch(url).then((cut) => cut.text()),
    'one that is not there is no whole answer',
  );
});
