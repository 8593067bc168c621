/** Three sidecars as processes change the key of their frames while they run, as docs/fleet.md says; each reads a file of its own. */
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { request } from 'undici';
import { becomes } from '../helpers/processes.ts';
import { realFleet } from '../helpers/real-fleet.ts';
import { httpBackend } from '../helpers/sidecar.ts';

const NODES = 3;
/** Files are looked at each 5 s, by processes that have not the machine for themselves. */
const LOOKED_MS = 15_000;
const [OLD, NEW] = ['', ''].map(() => randomBytes(32).toString('base64')) as [string, string];

t.test('keys are rotated and no frame is refused; a broken file changes nothing', { timeout: 90_000 }, async (t) => {
  const upstream = await httpBackend(t, (_, response) => response.end('ok'));
  const dir = mkdtempSync(join(tmpdir(), 'reeve-keys-'));
  t.teardown(() => rmSync(dir, { recursive: true }));
  const keyFile = (place: number): string => join(dir, `keys-${place}`);
  const write = (place: number, ...lines: string[]): void => writeFileSync(keyFile(place), `${lines.join('\n')}\n`);
  const places = Array.from({ length: NODES }, (_, place) => place);
  for (const place of places) write(place, OLD);
  const fleet = await realFleet(t, upstream, {
    ...{ nodes: NODES, limit: 1000, burst: 1000 },
    plan: { quotas: { requests: { per: 'month', limit: 1e6 } } },
    own: (place) => ({ 'gossip.keyFile': keyFile(place) }),
    isCounted: true,
  });
  const url = (place: number, of: 'inbound' | 'admin' | 'status', path = '/'): string =>
    `http://127.0.0.1:${fleet.sidecars[place]?.ports[of]}${path}`;
  const page = async <T>(place: number, path: string): Promise<T> =>
    (await (await fetch(url(place, 'admin', path))).json()) as T;
  const said = (place: number, event: string): number =>
    fleet.sidecars[place]?.lines.filter((line) => line.includes(`"${event}"`)).length ?? 0;
  /** How often each says that it took other keys, once it did. */
  const haveChanged = (which: readonly number[], times: number): Promise<boolean> =>
    becomes(() => which.every((place) => said(place, 'gossip.keys_changed') === times), LOOKED_MS);
  let asked = 0;
  /** All know what was asked of each just now, and that each is there. */
  const areTogether = async (): Promise<boolean> => {
    for (const place of places) {
      const { body } = await request(url(place, 'inbound'), { headers: { host: 'acme.test' } });
      await body.dump();
      asked++;
    }
    const knowsAll = async (place: number): Promise<boolean> => {
      const { quotas } = await page<{ quotas: [{ used: number }] }>(place, '/v1/limits/acme');
      const { members } = await page<{ members: { state: string }[] }>(place, '/v1/gossip');
      return quotas[0].used === asked && members.filter((each) => each.state === 'alive').length === NODES;
    };
    return becomes(async () => (await Promise.all(places.map(knowsAll))).every(Boolean), LOOKED_MS);
  };
  t.ok(await areTogether(), 'with the old key');

  for (const place of places) write(place, OLD, NEW);
  t.ok(await haveChanged(places, 1), 'the new one is added everywhere');
  t.ok(await areTogether());
  for (const place of places) write(place, NEW, OLD);
  t.ok(await haveChanged(places, 2), 'it is made the first everywhere');
  t.ok(await areTogether());
  // The last one's file is broken when the old key goes: it has both, and says so.
  const [last, others] = [NODES - 1, places.slice(0, -1)];
  for (const place of others) write(place, NEW);
  write(last, NEW, 'no key');
  t.ok(await haveChanged(others, 3), 'the old one is removed');
  t.ok(await becomes(() => said(last, 'gossip.keys_kept') === 1, LOOKED_MS), 'the broken file is told');
  t.match(
    fleet.sidecars[last]?.lines.find((line) => line.includes('gossip.keys_kept')),
    new RegExp(`"severity":"warn".*${keyFile(last)}.*expected keys of 32 bytes`),
  );
  t.ok(await areTogether(), 'and the keys it had are in force');
  for (const place of places) {
    const exposition = await (await fetch(url(place, 'status', '/metrics'))).text();
    t.match(exposition, /^reeve_gossip_members/m);
    t.notMatch(exposition, /^reeve_gossip_frames_refused_total\{reason="(key|forged)"\}/m, 'no frame was refused');
  }

  // Who has the new key alone is let in: frames are sealed by it.
  write(last, NEW);
  await t.resolves(fleet.replace(last), 'it ends with 0, and the next is ready');
  t.ok(await areTogether(), 'with the new key');
});
