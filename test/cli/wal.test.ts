/** `reeve wal inspect`: what an operator sees of a spool or a ledger. */
import {
  appendFileSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { writeEntry } from '../../src/collector/entry.ts';
import { systemClock, systemRandom, Writer } from '../../src/core/index.ts';
import { Spool } from '../../src/metering/spool.ts';
import { FRAME_HEAD, SegmentLog, systemDisk } from '../../src/wal/index.ts';
import { reeve } from '../helpers/command.ts';

function logIn(t: Test, ...bodies: string[]): { dir: string; log: SegmentLog } {
  const dir = mkdtempSync(join(tmpdir(), 'reeve-inspect-'));
  t.teardown(() => rmSync(dir, { recursive: true, force: true }));
  const options = { dir, disk: systemDisk, kind: 'SPOL', head: () => Buffer.from('owner') };
  const log = SegmentLog.open(
    options,
    () => {},
    () => {},
  );
  for (const body of bodies) {
    const frame = Buffer.concat([Buffer.alloc(FRAME_HEAD), Buffer.from(body)]);
    log.append(frame, frame.length);
  }
  return { dir, log };
}

function damageByte(path: string, at: number): void {
  const file = openSync(path, 'r+');
  writeSync(file, Buffer.from([0xee]), 0, 1, at);
}

t.test('a sound log: rows, the last records, exit 0, nothing touched, also in use', async (t) => {
  const { dir, log } = logIn(t, 'a', 'b'.repeat(70), 'c');
  log.rotate();
  const before = readdirSync(dir).map((name) => readFileSync(join(dir, name)));
  t.match(await reeve(['wal', 'inspect', dir]), {
    status: 0,
    stdout: '1\tSPOL\t202\t3\tyes\t0\t0\n2\tSPOL\t82\t0\tno\t0\t0\n2 segments, 3 frames, 0 findings, in use\n',
  });
  t.same(
    readdirSync(dir).map((name) => readFileSync(join(dir, name))),
    before,
  );
  log.close();
  t.match(await reeve(['wal', 'inspect', dir, '--records', '2', '-o', 'table']), {
    status: 0,
    stdout:
      /SEGMENT {2}KIND {2}BYTES {2}FRAMES {2}SEALED {2}GAPS {2}LOST\n +1 {2}SPOL +202[\s\S]*SEGMENT {2}OFFSET {2}BYTES {2}RECORD\n +1 +95 +70 {2}(62){64}…\n +1 +177 +1 {2}63\n2 segments, 3 frames, 0 findings, not in use/,
  });
  const { status, stdout } = await reeve(['wal', 'inspect', dir, '--records', '1', '-o', 'json']);
  t.equal(status, 0);
  t.strictSame(JSON.parse(stdout).records, [{ segment: 1, offset: 177, bytes: 1, record: '63' }]);
  t.match(JSON.parse(stdout), {
    dir,
    isInUse: false,
    segments: [{ kind: 'SPOL', frames: 3 }, {}],
    findings: [],
    aside: [],
  });
});

t.test('damage: where it is, what it is, what to do; exit 1', async (t) => {
  const { dir, log } = logIn(t, 'a', 'bb', 'ccc');
  log.rotate();
  log.close();
  const [first, second] = ['000000000001.wal', '000000000002.wal'].map((name) => join(dir, name)) as [string, string];
  damageByte(first, 95 + FRAME_HEAD);
  appendFileSync(second, 'x');
  const seen = await reeve(['wal', 'inspect', dir]);
  t.equal(seen.status, 1);
  t.match(
    seen.stdout,
    `× ${first}:95 corrupt, 14 bytes: it is not what was written; what stands behind it is read (look at the disk`,
  );
  t.match(seen.stdout, `‼ ${second}:82 torn tail, 1 byte: the next opening cuts it off (nothing to do`);
  t.match(seen.stdout, '2 segments, 2 frames, 2 findings, not in use');
  const { stdout } = await reeve(['wal', 'inspect', dir, '-o', 'json']);
  t.match(JSON.parse(stdout).findings, [
    { what: 'corrupt', path: first, segment: 1, offset: 95, bytes: 14, remedy: /disk/ },
    { what: 'torn tail', segment: 2, remedy: /nothing to do/ },
  ]);
  writeFileSync(first, 'x'.repeat(200));
  writeFileSync(`${second}.corrupt`, '');
  const worse = await reeve(['wal', 'inspect', dir]);
  t.match(worse, { status: 1, stdout: /^1\t-\t200\t0\tno\t0\t0\n/ });
  t.match(
    worse.stdout,
    /unreadable, 200 bytes: its head is damaged[\s\S]*2\.wal\.corrupt was put aside by an earlier start/,
  );
});

t.test('what is no log, and no number, is told with the remedy; exit 2', async (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'reeve-inspect-'));
  t.teardown(() => rmSync(dir, { recursive: true, force: true }));
  t.match(await reeve(['wal', 'inspect', dir]), {
    status: 2,
    stderr: /has no segment of a log \(name the directory of a spool/,
  });
  t.match(await reeve(['wal', 'inspect', join(dir, 'not')]), {
    status: 2,
    stderr: /not cannot be read: ENOENT \(name/,
  });
  for (const records of ['-1', 'many', '10001', '1.5'])
    t.match(await reeve(['wal', 'inspect', dir, `--records=${records}`]), {
      status: 2,
      stderr: /a whole number up to 10000/,
    });
  t.match(await reeve(['wal', 'inspect', '--help']), {
    status: 0,
    stdout: /\$ reeve wal inspect [\s\S]*\$ reeve wal inspect /,
  });
});

t.test('what stands in a spool and in a ledger is said in words', async (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'reeve-inspect-'));
  t.teardown(() => rmSync(dir, { recursive: true, force: true }));
  const world = { disk: systemDisk, clock: systemClock, random: systemRandom, onDamage: () => {} };
  const spool = new Spool({ ...world, dir: join(dir, 'spool'), maxBytes: 2 ** 24 });
  spool.add({
    ...{ wallMs: Date.now(), tenant: 'acme', route: 'orders', upstream: '', outcome: 'ok', methodClass: 'read' },
    ...{
      statusClass: 2,
      bytesIn: 1,
      bytesOut: 2,
      durationUs: 3,
      upstreamUs: 4,
      units: [{ meter: 'tokens', units: 5 }],
    },
    ...{ operation: 'shop/checkout', hop: 2, isPart: true },
    traceId: 'ab'.repeat(16),
  });
  spool.commit();
  spool.mark(spool.parts[0] as never);
  spool.close();
  const ofSpool = await reeve(['wal', 'inspect', join(dir, 'spool'), '--records', '10', '-o', 'json']);
  const { records } = JSON.parse(ofSpool.stdout) as { records: { record: Record<string, unknown> }[] };
  t.match(records[0]?.record, { seq: '1–1', records: [{ tenant: 'acme', bytesOut: 2 }] });
  t.match(records[0]?.record, { records: [{ units: [{ meter: 'tokens', units: 5 }], traceId: 'ab'.repeat(16) }] });
  t.match(records[1]?.record, { told: /^segment \d+$/ });

  const options = { dir: join(dir, 'ledger'), disk: systemDisk, kind: 'LEDG', head: () => Buffer.alloc(0) };
  const log = SegmentLog.open(
    options,
    () => {},
    () => {},
  );
  const writer = new Writer(FRAME_HEAD + 4096);
  writer.offset = FRAME_HEAD;
  const place = { epoch: 1, life: 'cd'.repeat(8), seqFrom: 1, seqTo: 2, chainBefore: 0, chainAfter: 0 };
  const whose = { spoolId: 'ef'.repeat(16), service: 'orders', instance: 'one', receivedMs: 1, watermarkMs: 1 };
  writeEntry(writer, { kind: 'gap', ...whose, ...place, reason: 'corrupt' });
  log.append(writer.bytes, writer.offset);
  log.append(Buffer.alloc(FRAME_HEAD + 3), FRAME_HEAD + 3);
  log.close();
  const ofLedger = await reeve(['wal', 'inspect', join(dir, 'ledger'), '--records', '10', '-o', 'json']);
  const said = (JSON.parse(ofLedger.stdout) as { records: { record: unknown }[] }).records;
  t.match(said[0]?.record, { kind: 'gap', service: 'orders', seqFrom: 1, seqTo: 2, reason: 'corrupt' });
  t.equal(said[1]?.record, '000000', 'what is not known is shown as bytes');
});
