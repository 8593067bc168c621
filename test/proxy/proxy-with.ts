/** A proxy alone, with stages of the test's own and no tenancy in force. */
import { systemRandom } from '../../src/core/index.ts';
import type { Commits, Pipeline } from '../../src/pipeline/index.ts';
import { AccessLog, openProxy, openUpstreams } from '../../src/proxy/index.ts';
import { emptySnapshot } from '../../src/tenants/index.ts';
import { quietWorld } from '../helpers/quiet-world.ts';
import { configFor, type Ending, settings } from '../helpers/sidecar.ts';
import { makeTenancy } from '../helpers/tenancy.ts';

interface Stages {
  readonly engine: 'fast' | 'general';
  readonly upstream: string;
  readonly pipeline: Pipeline;
  readonly commits?: Commits;
}

/** Resolves with its port. */
export async function proxyWith(t: Ending, { engine, upstream, pipeline, ...more }: Stages): Promise<number> {
  const tenancy = makeTenancy();
  const config = configFor(settings(upstream, tenancy, { 'wire.fastPath': String(engine === 'fast') }));
  const world = { ...quietWorld(), random: systemRandom };
  const upstreams = openUpstreams({ ...world, config });
  const proxy = await openProxy({
    ...world,
    ...more,
    config,
    access: new AccessLog({ ...world, access: config.log }),
    upstreams,
    isProtectedName: () => false,
    isTrustedProxy: () => false,
    snapshot: () => emptySnapshot,
    pipeline: () => pipeline,
  });
  t.teardown(async () => {
    await proxy.close();
    await upstreams.close();
    tenancy.cleanUp();
  });
  return proxy.port;
}
