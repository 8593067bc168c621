/** What `reeve check --live` says of the metering of a running sidecar: each bad state has its remedy. */
import { join } from 'node:path';
import t from 'tap';
import { liveMeteringChecks } from '../../src/cli/commands/check-live-metering.ts';
import type { MeteringStatus } from '../../src/metering/index.ts';
import { reeve } from '../helpers/command.ts';
import { becomes } from '../helpers/processes.ts';
import { exchangeRaw } from '../helpers/raw-client.ts';
import { httpBackend, sidecarForTest } from '../helpers/sidecar.ts';
import { makeTenancy } from '../helpers/tenancy.ts';
import { tokenFor } from '../helpers/tokens.ts';
import { grpcCollector } from '../metering/grpc-collector.ts';

const SOUND: MeteringStatus = {
  ...{ collector: 'meter:15010', isConnected: true, why: null, unackedRecords: 2, unackedAgeSec: 0.4 },
  ...{ step: 'single', onFull: 'failOpen', dir: '/spool', spoolBytes: 10, maxBytes: 100 },
  ...{ lostRecords: 0, syncFailures: 0, damages: 0, fences: 0 },
};

t.test('a sound one', async (t) => {
  t.strictSame(
    liveMeteringChecks(SOUND).map(({ result, description }) => `${result}: ${description}`),
    [
      'success: collector meter:15010 is told what is used',
      'success: records are acked (2 records wait, the oldest for 0 s)',
      'success: spool has room (10 of 100 bytes)',
      'success: no record was lost since the start',
    ],
  );
});

t.test('each bad state has a line of its own, with what to do', async (t) => {
  const away = { isConnected: false, unackedRecords: 1, unackedAgeSec: 600 };
  const rows: readonly [Partial<MeteringStatus>, 'warning' | 'error', RegExp][] = [
    [
      { collector: null, isConnected: false },
      'warning',
      /none is configured; 2 records wait.*metering\.collector\.addr/,
    ],
    [
      { ...away, why: 'ECONNREFUSED' },
      'warning',
      /ECONNREFUSED; 1 record waits, the oldest for 10 min \| start it, or/,
    ],
    [
      { ...away, why: 'a token of this collector is needed' },
      'warning',
      /token.*\| give metering\.collector\.tokenFile/,
    ],
    [{ ...away, unackedRecords: 0, why: null }, 'warning', /it has not answered yet; no record waits \| start it/],
    [{ unackedAgeSec: 31 }, 'warning', /^records are acked.*oldest for 31 s \| look at the collector's \/readyz/],
    [{ unackedAgeSec: 90_000 }, 'warning', /oldest for 25 h/],
    [
      { step: 'minutes', spoolBytes: 75 },
      'warning',
      /\/spool has 75 of 100 bytes: .*by the second or minute \| let the/,
    ],
    [{ step: 'hours' }, 'warning', /by the hour \| let the collector be reached, or raise metering\.maxBytes/],
    [{ step: 'full' }, 'error', /takes no more: requests pass, their records are lost .*\| make room/],
    [{ step: 'full', onFull: 'failClosed' }, 'error', /takes no more: requests are refused \(metering\.onFull: failC/],
    [{ lostRecords: 7 }, 'warning', /7 records found no room.*`reeve usage spools`/],
    [{ syncFailures: 1 }, 'warning', /^spool is synced.*1 syncs failed.*look at its disk/],
    [{ damages: 1 }, 'warning', /^spool is sound.*reeve wal inspect \/spool/],
    [{ fences: 1 }, 'warning', /^spool is its own.*no two sidecars may share a spool/],
  ];
  for (const [status, result, words] of rows) {
    const found = liveMeteringChecks({ ...SOUND, ...status }).filter((each) => each.result !== 'success');
    t.equal(found.length, 1, JSON.stringify(status));
    t.equal(found[0]?.result, result);
    t.match(`${found[0]?.description} | ${found[0]?.error} | ${found[0]?.hint}`, words);
  }
});

t.test(
  'a sidecar is asked: what is used arrives, then its collector is gone, and one that records nothing',
  async (t) => {
    const upstream = await httpBackend(t, (_req, res) => res.end('ok'));
    const collector = await grpcCollector(t);
    const tenancy = makeTenancy();
    const sidecar = await sidecarForTest(t, upstream, {
      tenancy,
      settings: { 'metering.dir': join(tenancy.stateDir, 'spool'), 'metering.collector.address': collector.address },
    });
    const use = (): Promise<unknown> =>
      exchangeRaw(sidecar.port, `GET / HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer ${tokenFor('org_acme')}\r\n\r\n`, {
        responses: 1,
      });
    const look = async (port = sidecar.ports.admin, ...more: string[]): ReturnType<typeof reeve> =>
      reeve(['check', '--live', '--admin', `http://127.0.0.1:${port}`, ...more]);
    const says = (words: RegExp): Promise<boolean> => becomes(async () => words.test((await look()).stdout));
    await use();
    t.ok(await becomes(() => collector.records().length === 1));
    t.ok(
      await says(/√ collector 127.*√ records are acked \(no record waits\)\n√ spool has room.*√ no record was lost/s),
    );
    t.equal((await look(sidecar.ports.admin, '--strict')).status, 0, 'nothing to warn of');
    await collector.close();
    await use();
    t.ok(
      await says(
        /‼ collector 127.*\n {4}.*ECONNREFUSED [\d.:]+; 1 record waits, the oldest for \d+ s\n {4}hint: start it, or correct/,
      ),
    );
    t.match(await look(), { status: 0, stdout: /results are √, with 1 warning/ });
    t.match(await look(sidecar.ports.admin, '--strict'), { status: 1, stdout: /results are ×, with 1 warning/ });
    const { status, stdout } = await look(sidecar.ports.admin, '--strict', '-o', 'json');
    t.match({ status, ...JSON.parse(stdout) }, { status: 1, success: false });
    t.equal((await look(1, '--strict')).status, 3, 'nobody answers');
    const silent = await sidecarForTest(t, upstream);
    t.notMatch((await look(silent.ports.admin)).stdout, /collector|spool/);
  },
);
