/** `reeve check` on a collector's directory. */
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { ledgerChecks } from '../../src/cli/commands/check-ledger.ts';
import { savedWord, writeManifest } from '../../src/collector/duck/manifest.ts';
import { Keeper, SegmentLedger } from '../../src/collector/index.ts';
import { systemClock, systemRandom, systemTimers } from '../../src/core/index.ts';
import { silentLog } from '../../src/telemetry/index.ts';
import { type Place, systemDisk } from '../../src/wal/index.ts';
import { reeve } from '../helpers/command.ts';

t.test('check explains a ledger: sound, damaged, with files put aside, or unreadable', async (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'reeve-check-ledger-'));
  t.teardown(() => rmSync(dir, { recursive: true }));
  const check = () => reeve(['check'], { REEVE_COLLECTOR_DIR: dir });
  t.match(await check(), {
    status: 0,
    stdout: /ledger\n-+\n√ ledger is writable; it will be made in \S+\n√ there is no ledger yet: \S+/,
  });
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
  t.match(await check(), { stdout: /√ kept log is sound \(1 segments\)/ });
  t.match(await reeve(['wal', 'inspect', join(dir, 'kept'), '--records', '1', '-o', 'json']), { stdout: /blue/ });
  t.match(await check(), { stdout: /× ledger is readable\n {4}\S+: ENOTDIR/ });
});

t.test('a ledger and the sums that were saved of it: missing, truncated, restored, unreadable', async (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'reeve-check-ledger-'));
  t.teardown(() => rmSync(dir, { recursive: true }));
  const findings = async () => (await ledgerChecks(dir)).filter(({ result }) => result !== 'success');
  const ledger = join(dir, 'ledger');
  const start = () =>
    SegmentLedger.open({
      ...{ dir: ledger, disk: systemDisk, clock: systemClock, onDamage() {} },
      from: (JSON.parse(savedWord(join(dir, 'sums')) ?? '{}') as { place?: Place }).place,
    });
  const log = start();
  for (let i = 0; i < 3; i++) log.probe();
  await log.commit();
  mkdirSync(join(dir, 'sums'));
  t.strictSame(await findings(), [], 'nothing was saved');
  writeManifest(join(dir, 'sums'), {
    ...{ version: 2, next: 1, hot: undefined, files: [] },
    word: JSON.stringify({ place: log.highWater, spools: [], sealedS: 0 }),
  });
  log.close();
  t.strictSame(await findings(), []);
  cpSync(dir, `${dir}-copy`, { recursive: true });
  t.teardown(() => rmSync(`${dir}-copy`, { recursive: true }));
  t.strictSame(
    (await ledgerChecks(`${dir}-copy`)).filter(({ result }) => result !== 'success'),
    [],
    'a clone is as sound as what it was made of',
  );

  const behind = { result: 'error', description: 'ledger and sums fit', error: /ledger: it ends before 1:\d+/ };
  const path = join(ledger, '000000000001.wal');
  truncateSync(path, 100_000);
  t.throws(start, { code: 'ledger-behind' });
  t.match(await findings(), [
    { result: 'warning', description: 'ledger has its end', error: /torn tail/, hint: /cut the file/ },
    { ...behind, hint: /put the ledger back.*--rebuild/ },
  ]);
  rmSync(ledger, { recursive: true });
  t.throws(start, { code: 'ledger-behind' }, 'and a start makes none');
  t.match(await findings(), [{ ...behind, hint: /move sums\/ away/ }]);
  t.notMatch(await ledgerChecks(dir), [{ description: /will be made/ }], 'nor does check say so');
  writeFileSync(ledger, '');
  t.match(await findings(), [{ result: 'error', description: 'ledger is readable', error: /ENOTDIR/ }]);
  rmSync(ledger);
  writeFileSync(join(dir, 'sums/manifest.json'), '{');
  t.throws(start, { code: 'rollups-unusable' });
  t.match(await findings(), [{ description: 'ledger and sums fit', error: /manifest\.json: /, hint: /--rebuild/ }]);
  writeManifest(join(dir, 'sums'), { version: 2, next: 1, hot: undefined, files: [], word: 'no word' });
  await t.rejects(findings(), SyntaxError, 'a defect of ours is not hidden');
});

t.test('a ledger that nobody may write, on a disk without room', { skip: process.platform !== 'linux' }, async (t) => {
  t.match(await ledgerChecks('/proc/self'), [
    { result: 'error', description: 'ledger is writable', error: /E(ACCES|ROFS|PERM)/, hint: /log-unusable/ },
    { result: 'error', description: 'the disk of the ledger has room', hint: /sidecars.*keep it/ },
  ]);
});
