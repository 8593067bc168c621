/** A tenancy in the test's own process, on a quiet world, closed by the test that opened it. */
import { openTenancy, type Tenancy, type TenancyOptions } from '../../src/tenants/index.ts';
import { quietWorld } from './quiet-world.ts';
import type { Ending } from './sidecar.ts';
import type { TenancyDir } from './tenancy.ts';

export async function tenancyForTest(t: Ending, dir: TenancyDir, more: Partial<TenancyOptions> = {}): Promise<Tenancy> {
  const tenancy = await openTenancy({
    dir: dir.dir,
    stateDir: undefined,
    allowShrink: false,
    removeGraceMs: 50,
    ...quietWorld(),
    ...more,
  });
  t.teardown(async () => {
    await tenancy[Symbol.asyncDispose]();
    dir.cleanUp();
  });
  return tenancy;
}
