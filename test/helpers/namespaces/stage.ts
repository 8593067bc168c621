/**
 * Run by `unshare`, as the first process of namespaces of its own: real sidecars in a network that loses and is cut, and requests to them. Its
 * orders come as an argument; it prints one line, and all that it began ends with it.
 */
import { offer, realFleet } from '../real-fleet.ts';
import { httpBackend } from '../sidecar.ts';
import { cut, HERE, makeNetwork } from './network.ts';

export interface Orders {
  readonly nodes: number;
  /** Units a second, and at once. */
  readonly limit: number;
  readonly burst: number;
  readonly lossPct: number;
  /** Requests a second, by place. */
  readonly perSec: readonly number[];
  /** ms. */
  readonly forMs: number;
  readonly cutAt: number;
  readonly healAt: number;
  /** Cut off then. */
  readonly cut: readonly number[];
}

export interface Seen {
  /** ms since the first request was due; of those that were admitted. */
  readonly admitted: readonly number[];
  readonly refused: number;
  /** What the first knew of the others before, during and after the cut: alive ones. */
  readonly alive: readonly number[];
}

const orders = JSON.parse(process.argv[2] as string) as Orders;
const { nodes, limit, burst, lossPct, perSec, forMs, cutAt, healAt } = orders;
const ends: (() => unknown)[] = [];
const t = { teardown: (end: () => unknown) => void ends.unshift(end) };
const pods = makeNetwork(nodes, lossPct);
const upstream = await httpBackend(t, (_, response) => response.end('ok'), HERE);
const fleet = await realFleet(t, upstream, { nodes, limit, burst, pods });
const admin = `http://${pods[0]?.clientHost}:${fleet.sidecars[0]?.ports.status}`;
const alive: number[] = [];
const look = async (): Promise<void> => {
  const text = await (await fetch(`${admin}/metrics`)).text();
  alive.push(Number(/^reeve_gossip_members\{state="alive"\} (\d+)$/m.exec(text)?.[1]));
};
const origins = fleet.sidecars.map(({ ports }, at) => `http://${pods[at]?.clientHost}:${ports.inbound}`);
const load = offer(origins, (place) => perSec[place] as number, forMs);
setTimeout(() => void look(), cutAt - 200);
setTimeout(() => cut(nodes, (place) => orders.cut.includes(place)), cutAt);
setTimeout(() => void look(), healAt - 200);
setTimeout(() => cut(nodes, () => false), healAt);
const all = await load;
await look();
const admitted = all.filter(({ isAdmitted }) => isAdmitted).map(({ at }) => Math.round(at));
process.stdout.write(`${JSON.stringify({ admitted, refused: all.length - admitted.length, alive } satisfies Seen)}\n`);
for (const end of ends) await end();
process.exit(0);
