/** `reeve check` on a collector's directory. */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { Keeper, SegmentLedger } from '../../src/collector/index.ts';
import { systemClock, systemRandom, systemTimers } from '../../src/core/index.ts';
import { silentLog } from '../../src/telemetry/index.ts';
import { systemDisk } from '../../src/wal/index.ts';
import { reeve } from '../helpers/command.ts';

t.test('check explains a ledger: sound, damaged, with files put aside, or unreadable', async (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'reeve-check-ledger-'));
  t.teardown(() => rmSync(dir, { recursive: true }));
  const check = () => reeve(['check'], { REEVE_COLLECTOR_DIR: dir });
  t.match(await check(), { status: 0, stdout: /ledger\n-+\n√ ledger is sound; it will be made/ });
  const ledgerDir = join(dir, 'ledger');
  mkdirSync(ledgerDir);
  const ledger = SegmentLedger.open({
    dir: ledgerDir,
    disk: systemDisk,
    clock: systemClock,
    onDamage: () => t.fail('it is new'),
  });
  ledger.probe();
  ledger.probe();
  await ledger.commit();
  ledger.close();
  t.match(await check(), { status: 0, stdout: /√ ledger is sound \(1 segments\)/ });
  const path = join(ledgerDir, readdirSync(ledgerDir).find((name) => name.endsWith('.wal')) as string);
  const bytes = readFileSync(path);
  bytes.writeUInt8(bytes.readUInt8(1000) ^ 0xff, 1000);
  writeFileSync(path, bytes);
  t.match(await check(), {
    status: 1,
    stdout: /× ledger is sound\n {4}\S+\.wal at \d+: corrupt: .*\n {4}hint: look at the disk/,
  });
  rmSync(path);
  writeFileSync(`${path}.corrupt`, '');
  t.match(await check(), {
    status: 0,
    stdout: /‼ ledger is whole\n {4}\S+\.wal\.corrupt was found damaged and put aside/,
  });
  rmSync(ledgerDir, { recursive: true });
  writeFileSync(ledgerDir, '');
  const keeper = Keeper.open({
    ...{ dir: join(dir, 'kept'), disk: systemDisk, clock: systemClock, timers: systemTimers },
    ...{ random: systemRandom, log: silentLog },
  });
  const row = { key: Buffer.from('a'), version: 1, value: Buffer.from('[1]'), untilMs: systemClock.wallMs() + 1e6 };
  await keeper.keep('blue', [row]);
  await keeper.close();
  t.match(await check(), { stdout: /√ kept is sound \(1 segments\)/ });
  t.match(await reeve(['wal', 'inspect', join(dir, 'kept'), '--records', '1', '-o', 'json']), { stdout: /blue/ });
  t.match(await check(), { stdout: /× ledger is readable\n {4}\S+: ENOTDIR/ });
});
