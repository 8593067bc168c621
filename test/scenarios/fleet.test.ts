/** Sidecars as processes, one limit for all of them, over real sockets. */
import t from 'tap';
import { run } from '../../sim/job.ts';
import { skewed } from '../../sim/scenarios.ts';
import { becomes } from '../helpers/processes.ts';
import { offer, realFleet } from '../helpers/real-fleet.ts';
import { httpBackend } from '../helpers/sidecar.ts';

const NODES = 20;
/** Little enough that two cores carry twenty sidecars, their clients and the application. */
const LIMIT = 100;
/** Until twenty processes that have just begun run compiled code, and are asked on time. */
const WARM_MS = 10_000;
/** The bucket, full at one end and in debt at the other, is 1 % of the limit in so long: where that shows, as much is measured again. */
const MEASURE_MS = 24_000;
const MEASURE_SEC_MAX = 72;
/** A limit this small is met by each seed a little otherwise: their mean. */
const SEEDS = [1, 2, 3];
/** Percent of the limit by which simulation and reality may differ. */
const AGREE_PCT = 2;

t.test(`${NODES} processes admit together what one limit allows, as the simulator says`, async (t) => {
  const upstream = await httpBackend(t, (_, response) => response.end('ok'));
  const fleet = await realFleet(t, upstream, { nodes: NODES, limit: LIMIT, burst: LIMIT / 10 });
  const origins = fleet.sidecars.map((each) => `http://127.0.0.1:${each.ports.inbound}`);
  const runs = await Promise.all(
    SEEDS.map((seed) => run({ scenario: 'steady', policy: 'reeve', seed, nodes: NODES, limit: LIMIT })),
  );
  const simulated = runs.reduce((sum, { figures }) => sum + (figures['mean_pct'] as number), 0) / SEEDS.length;
  let admitted = 0;
  let seconds = 0;
  const meanPct = (): number => (100 * admitted) / (seconds * LIMIT);
  const apart = (): number => Math.abs(meanPct() - simulated);
  do {
    const seen = await offer(origins, (place) => 3 * LIMIT * skewed(place, NODES), WARM_MS + MEASURE_MS);
    admitted += seen.filter((each) => each.isAdmitted && each.at >= WARM_MS).length;
    seconds += MEASURE_MS / 1000;
  } while (apart() > AGREE_PCT && seconds < MEASURE_SEC_MAX);
  t.comment(
    `figure: ${NODES} sidecars over real sockets at 3 times their limit: ${meanPct().toFixed(1)} % of it admitted, ` +
      `${simulated.toFixed(1)} % in the simulator, ${apart().toFixed(1)} points apart`,
  );
  t.ok(apart() <= AGREE_PCT, `${meanPct().toFixed(1)} and ${simulated.toFixed(1)}`);

  const [first] = fleet.sidecars;
  const page = async (path: string): Promise<unknown> =>
    (await fetch(`http://127.0.0.1:${first?.ports.admin}${path}`)).json();
  const { isIsolated, members: known } = (await page('/v1/gossip')) as { isIsolated: boolean; members: unknown[] };
  t.same([isIsolated, known.length], [false, NODES]);
  const { fleet: share } = (await page('/v1/limits/acme')) as { fleet: { members: number; peers: unknown[] } };
  t.same([share.members, share.peers.length], [NODES, NODES - 1]);

  // Farewell: the others know before it is gone, and nobody is suspected.
  first?.child.kill('SIGTERM');
  t.equal(await first?.exited, 0);
  const members = async (): Promise<{ name: string; state: string }[]> => {
    const answer = await fetch(`http://127.0.0.1:${fleet.sidecars[1]?.ports.admin}/v1/gossip`);
    return ((await answer.json()) as { members: { name: string; state: string }[] }).members;
  };
  const stateOf = async (name: string): Promise<string | undefined> =>
    (await members()).find((each) => each.name === name)?.state;
  t.ok(await becomes(async () => (await stateOf('pod-0')) === 'left', 1000), 'the others hear that it left');
  t.same(
    (await members()).filter((each) => each.state === 'dead' || each.state === 'suspect'),
    [],
  );
});
