/** What `reeve check --live` says of the fleet as a running sidecar knows it. */
import type { FleetMembers } from '../fleet.ts';
import { bad, type Check, good } from './check-result.ts';
import { count } from './config.ts';

export function liveFleetChecks(fleet: FleetMembers): Check[] {
  return [heardCheck(fleet), presenceCheck(fleet), rightsCheck(fleet)];
}

function heardCheck({ isFound, isIsolated, expected }: FleetMembers): Check {
  const description = 'the fleet is heard';
  // One of before does not say it.
  if (isFound === false)
    return bad(
      description,
      'the seeds do not answer, or name nobody; this one takes itself for alone, and refuses hard quotas',
      'see that the name of spec.gossip.seeds.dns has addresses, or its file is there and has some',
      'warning',
    );
  if (!isIsolated) return good(description);
  return bad(
    description,
    `nobody of ${expected} expected members is heard; this one takes an equal part of each limit`,
    'see that spec.gossip.seeds name the others, that UDP and TCP of the gossip port pass between sidecars, and that all have one keyFile and cluster',
    'warning',
  );
}

/** Whom another followed at its address is not missed, nor who is expected no more. */
function presenceCheck({ expected, members }: FleetMembers): Check {
  const description = 'all of the fleet are there';
  const alive = members.filter(({ state, isListed }) => state === 'alive' && isListed !== false);
  if (alive.length >= expected) return good(`${description} (${count(alive.length, 'member')})`);
  const places = new Set(alive.map(({ address }) => address));
  const missing = members.filter(
    ({ state, address }) => (state === 'dead' || state === 'suspect') && !places.has(address),
  );
  return bad(
    description,
    [
      `${alive.length} of ${expected} expected members are`,
      ...missing.slice(0, 5).map(({ name, address, state }) => `${name} (${address}) is ${state}`),
    ].join('\n'),
    'start those that are missing, or mend the way to them; see reeve gossip members',
    'warning',
  );
}

function rightsCheck({ unreachableQuotas, unpartedQuotas }: FleetMembers): Check {
  const description = 'hard quotas can be used up';
  // One of before says neither.
  if (unpartedQuotas > 0)
    return bad(
      description,
      `${count(unpartedQuotas, 'quota')} of which nobody has a part yet`,
      'it takes all of the expected members for three seconds, or most of them for a minute: start those that are missing, or take them out of the seeds',
      'warning',
    );
  if (!(unreachableQuotas > 0)) return good(description);
  return bad(
    description,
    `${count(unreachableQuotas, 'quota')} of which what is left is held by sidecars that cannot be reached, or may have been spent by some that crashed`,
    'what a crash may have spent comes back when the window ends, or raise the limit until then; who is missing brings its part with its disk; reeve limits check TENANT shows how much it is',
    'warning',
  );
}
