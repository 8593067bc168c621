/** G22: a reader never sees half of one configuration and half of another, however a Kubernetes volume is swapped. */
import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { systemClock, systemTimers } from '../../src/core/index.ts';
import { createMetrics, silentLog } from '../../src/telemetry/index.ts';
import { openTenancy } from '../../src/tenants/index.ts';
import { plan, tenant } from '../helpers/tenancy.ts';

const SWAPS = 300;
const TENANTS = 60;

t.test('swaps of ..data, some within 5 ms: no snapshot is mixed or empty', async (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'reeve-k8s-'));
  t.teardown(() => rmSync(dir, { recursive: true, force: true }));
  const version = (at: number): void => {
    const folder = join(dir, `..v${at}`);
    mkdirSync(folder);
    writeFileSync(join(folder, 'plans.yaml'), plan('free', { concurrency: 1000 + at }));
    for (let file = 0; file < 3; file++) {
      const texts = Array.from({ length: TENANTS / 3 }, (_, i) =>
        tenant(`t${file}-${i}`, { identity: {}, overrides: { rate: { requests: { limit: `${1000 + at}/s` } } } }),
      );
      writeFileSync(join(folder, `t${file}.yaml`), texts.join(''));
    }
    symlinkSync(`..v${at}`, join(dir, '..data_tmp'));
    renameSync(join(dir, '..data_tmp'), join(dir, '..data'));
    if (at > 0) rmSync(join(dir, `..v${at - 1}`), { recursive: true });
  };
  version(0);
  for (const name of ['plans.yaml', 't0.yaml', 't1.yaml', 't2.yaml']) symlinkSync(`..data/${name}`, join(dir, name));
  const tenancy = await openTenancy({
    dir,
    stateDir: undefined,
    allowShrink: false,
    removeGraceMs: 2000,
    clock: systemClock,
    timers: systemTimers,
    log: silentLog,
    metrics: createMetrics({ timers: systemTimers }),
  });
  t.teardown(() => tenancy.close());
  let mixed = 0;
  let seen = 0;
  tenancy.onSwap(({ tenants, plans }) => {
    seen++;
    const versions = new Set([...tenants.values()].map((each) => each.allowance.requests?.perSec));
    versions.add(plans.get('free')?.allowance.concurrency);
    if (tenants.size !== TENANTS || versions.size !== 1) mixed++;
  });
  for (let at = 1; at <= SWAPS; at++) {
    version(at);
    await sleep(at % 5 === 0 ? 40 : 2);
  }
  while (tenancy.snapshot.plans.get('free')?.allowance.concurrency !== 1000 + SWAPS) await sleep(10);
  t.equal(mixed, 0);
  t.ok(seen > SWAPS / 20, `${seen} snapshots seen`);
  t.same(tenancy.findings(), []);
  t.comment(`G22 config swap: ${mixed} mixed or empty in ${SWAPS} swaps, ${seen} snapshots seen`);
});
