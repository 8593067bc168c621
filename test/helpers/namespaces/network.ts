/**
 * A network of namespaces, made by a process that is in one of its own already (`unshare`): all of it ends with that process.
 *
 *   pod-i  eth0 10.77.0.i ─ 5 % lost ─ port g-i ─ bridge here or there       gossip: what is cut is moved to the other bridge
 *          eth1 10.78.0.i ──────────── port c-i ─ bridge clients             requests and the application: nothing is lost
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';

export interface Pod {
  /** Of its namespace. */
  readonly name: string;
  readonly gossipHost: string;
  readonly clientHost: string;
}

/** Where clients and the application are. */
export const HERE = '10.78.0.254';

export function makeNetwork(pods: number, lossPct: number): Pod[] {
  // Names of namespaces are files; these are seen by nobody else.
  execFileSync('mount', ['-t', 'tmpfs', 'tmpfs', '/run']);
  mkdirSync('/run/netns');
  const made = Array.from({ length: pods }, (_, at) => ({
    name: `pod-${at}`,
    gossipHost: `10.77.0.${at + 1}`,
    clientHost: `10.78.0.${at + 1}`,
  }));
  ip([
    'link set lo up',
    ...['here', 'there', 'clients'].flatMap((bridge) => [`link add ${bridge} type bridge`, `link set ${bridge} up`]),
    `addr add ${HERE}/24 dev clients`,
    ...made.map(({ name }) => `netns add ${name}`),
  ]);
  ip(
    made.flatMap(({ name }, at) => [
      `link add g-${at} type veth peer name eth0 netns ${name}`,
      `link add c-${at} type veth peer name eth1 netns ${name}`,
      `link set g-${at} master here up`,
      `link set c-${at} master clients up`,
    ]),
  );
  for (const pod of made) {
    const links = ['eth0', 'eth1', 'lo'].map((link) => `link set ${link} up`);
    ip([`addr add ${pod.gossipHost}/24 dev eth0`, `addr add ${pod.clientHost}/24 dev eth1`, ...links], pod.name);
    if (lossPct > 0) lose(pod.name, lossPct);
  }
  return made;
}

/** What pods say to one another is lost at random, on its way in. */
function lose(name: string, pct: number): void {
  const rules = [
    'add table inet loss',
    'add chain inet loss in { type filter hook input priority 0; }',
    `add rule inet loss in iif "eth0" numgen random mod 100 < ${pct} drop`,
  ];
  execFileSync('ip', ['netns', 'exec', name, 'nft', rules.join('; ')]);
}

/** Those that `isCut` do not hear the others, nor the others them; nobody cut: healed. */
export function cut(pods: number, isCut: (place: number) => boolean): void {
  ip(Array.from({ length: pods }, (_, at) => `link set g-${at} master ${isCut(at) ? 'there' : 'here'}`));
}

function ip(lines: readonly string[], namespace?: string): void {
  const at = namespace === undefined ? [] : ['-n', namespace];
  execFileSync('ip', [...at, '-batch', '-'], { input: `${lines.join('\n')}\n` });
}
