/** A log that nobody reads holds no request and no memory beyond its bound; when the reader is back it is told what it missed. */
import t from 'tap';
import { Pool } from 'undici';
import { becomes, mib, rssOf, SMALL_YOUNG_GENERATION } from '../helpers/processes.ts';
import { childSidecar, httpBackend, settings } from '../helpers/sidecar.ts';
import { makeTenancy } from '../helpers/tenancy.ts';
import { tokenFor } from '../helpers/tokens.ts';

const CLIENTS = 16;
/** A line of each: its path is cut at 2,048. So 8 Mi characters wait after some 3,400 requests. */
const PATH = `/${'x'.repeat(4000)}`;
/** The lines that may wait and what the kernel is given of them at once, both in bytes; the rest is the collector's. */
const RSS_GROWTH_MAX = 64 * 2 ** 20;

t.test('a stalled reader: every request is answered, lines are dropped, counted and told of', async (t) => {
  const upstream = await httpBackend(t, (_req, res) => res.end());
  const dir = makeTenancy();
  t.teardown(() => dir.cleanUp());
  const sidecar = await childSidecar(t, settings(upstream, dir, { 'log.access': 'all' }), {
    nodeArgs: SMALL_YOUNG_GENERATION,
  });
  const pool = new Pool(`http://127.0.0.1:${sidecar.ports.inbound}`, { connections: CLIENTS });
  t.teardown(() => pool.destroy());
  let answered = 0;
  const headers = { authorization: `Bearer ${tokenFor('org_acme')}` };
  const ask = async (count: number): Promise<void> => {
    let left = count;
    const client = async (): Promise<void> => {
      while (left-- > 0) {
        const { statusCode, body } = await pool.request({ method: 'GET', path: PATH, headers });
        await body.dump();
        if (statusCode === 200) answered++;
      }
    };
    await Promise.all(Array.from({ length: CLIENTS }, client));
  };
  const dropped = async (): Promise<number> =>
    Number(
      /^reeve_log_lines_dropped_total (\d+)$/m.exec(
        await (await fetch(`http://127.0.0.1:${sidecar.ports.status}/metrics`)).text(),
      )?.[1],
    );
  // Code and heap have grown to what this traffic needs.
  await ask(500);
  t.equal(await dropped(), 0, 'nothing while somebody reads');
  const before = rssOf(sidecar.child.pid).now;
  sidecar.child.stdout?.pause();
  let asked = 500;
  while ((await dropped()) === 0 && asked < 20_000) {
    await ask(500);
    asked += 500;
  }
  await ask(1000);
  asked += 1000;
  const missed = await dropped();
  t.ok(missed >= 1000, `${missed} dropped`);
  t.equal(answered, asked, 'every request was answered');
  const growth = rssOf(sidecar.child.pid).now - before;
  t.ok(growth <= RSS_GROWTH_MAX, `${mib(growth)} MiB more`);
  const words = (): string[] => sidecar.lines.filter((line) => line.includes('"log.lines_dropped"'));
  sidecar.child.stdout?.resume();
  t.ok(await becomes(() => words().length > 0), 'told when the reader is back');
  t.match(JSON.parse(words()[0] as string), { severity: 'warn', dropped: missed });
  await ask(1);
  const isLogged = () => sidecar.lines.filter((line) => line.includes('"http.request"')).length === asked + 1 - missed;
  t.ok(await becomes(isLogged), 'each line was read or told of');
  t.equal(words().length, 1, 'once');
});
