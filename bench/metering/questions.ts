/** How long a start, and questions over 90 days, take: what `makeDays` made, asked by HTTP. */
import { join } from 'node:path';
import { quantile } from '../../test/helpers/processes.ts';
import { CollectorProcess } from './collector-process.ts';
import { makeDays } from './days.ts';

export async function measureQuestions(
  dir: string,
  quick: boolean,
  progress: (text: string) => void,
): Promise<Record<string, number>> {
  const tenants = quick ? 1000 : 10_000;
  progress(`90 days of ${tenants} tenants`);
  const place = join(dir, 'days');
  await makeDays(place, tenants, 90);
  progress('a start, and questions');
  const collector = await CollectorProcess.start(place);
  try {
    const began = performance.now();
    await collector.ask('/v1/usage?tenant=tenant-1&from=90d&by=1h&meter=requests');
    const restart = collector.startMs + performance.now() - began;
    const one = await timed(40, (i) =>
      collector.ask(`/v1/usage?tenant=tenant-${(i * 7919) % tenants}&from=90d&by=1h&meter=requests`),
    );
    const top = await timed(10, () => collector.ask('/v1/usage?from=90d&by=tenant&meter=requests&top=100'));
    return { query_tenant_90d_ms: one, query_top100_90d_ms: top, restart_90d_ms: restart };
  } finally {
    await collector.stop();
  }
}

/** Median, ms. */
async function timed(times: number, run: (i: number) => Promise<unknown>): Promise<number> {
  const tookMs: number[] = [];
  for (let i = 0; i < times; i++) {
    const began = performance.now();
    await run(i);
    tookMs.push(performance.now() - began);
  }
  return quantile(tookMs, 0.5);
}
