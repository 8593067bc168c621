/** `reeve gossip members|watch`: the fleet, as a running sidecar knows it. */
import { systemTimers } from '../../core/index.ts';
import { askAdmin } from '../ask-admin.ts';
import type { FleetMembers } from '../fleet.ts';
import { type Form, printJson, printRows } from '../output.ts';
import { timesOf } from '../times.ts';

interface Asking {
  readonly admin: string;
  readonly output: Form;
}

const LOOK_MS = 1000;

export async function members({ admin, output }: Asking): Promise<void> {
  const fleet = await askAdmin<FleetMembers>(admin, '/v1/gossip');
  if (output === 'json') return printJson(fleet);
  printRows(
    ['NAME', 'STATE', 'ADDRESS', 'LISTED', 'INCARNATION'],
    fleet.members.map(({ name, state, address, isListed, incarnation }) => [
      name,
      state,
      address,
      isListed === undefined ? '-' : isListed ? 'yes' : 'no',
      incarnation,
    ]),
  );
  if (fleet.isIsolated) process.stdout.write(`isolated: nobody of ${fleet.expected} expected members is heard\n`);
}

/** Who is new or changed since the last look, all at first; `count` looks, or until interrupted. */
export async function watch({ admin, output, count }: Asking & { readonly count?: string }): Promise<void> {
  const known = new Map<string, string>();
  for (let times = timesOf(count, Number.POSITIVE_INFINITY); times > 0; times--) {
    const { members: now } = await askAdmin<FleetMembers>(admin, '/v1/gossip');
    for (const { incarnation, name, address, state } of now) {
      if (known.get(incarnation) === state) continue;
      known.set(incarnation, state);
      const at = new Date().toISOString();
      process.stdout.write(
        output === 'json'
          ? `${JSON.stringify({ at, name, state, address, incarnation })}\n`
          : `${at} ${name} ${state} ${address}\n`,
      );
    }
    for (const incarnation of known.keys())
      if (!now.some((each) => each.incarnation === incarnation)) known.delete(incarnation);
    if (times > 1) await systemTimers.sleep(LOOK_MS);
  }
}
