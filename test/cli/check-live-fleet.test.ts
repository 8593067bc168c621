/** What `reeve check --live` says of the fleet: each bad state has its remedy. */
import t from 'tap';
import { liveFleetChecks } from '../../src/cli/commands/check-live-fleet.ts';
import type { FleetMembers } from '../../src/cli/fleet.ts';

const OTHER = { name: 'pod-b', incarnation: 'b', address: '10.0.0.2:7946', state: 'alive', isListed: true } as const;
const SOUND: FleetMembers = {
  ...{ isIsolated: false, isFound: true, expected: 2, unreachableQuotas: 0, unpartedQuotas: 0, health: 0 },
  members: [{ ...OTHER, name: 'pod-a', incarnation: 'a', address: '10.0.0.1:7946' }, OTHER],
};

t.test('a sound one; whom another followed at its address is not missed', async (t) => {
  const before = { ...OTHER, incarnation: 'c', state: 'dead' } as const;
  for (const fleet of [SOUND, { ...SOUND, members: [...SOUND.members, before] }])
    t.strictSame(
      liveFleetChecks(fleet).map(({ result, description }) => `${result}: ${description}`),
      [
        'success: the fleet is heard',
        'success: all of the fleet are there (2 members)',
        'success: hard quotas can be used up',
      ],
    );
});

t.test('each bad state has a line of its own, with what to do', async (t) => {
  const [self] = SOUND.members as [FleetMembers['members'][number]];
  const missing = (state: 'dead' | 'suspect'): Partial<FleetMembers> => ({ members: [self, { ...OTHER, state }] });
  const rows: readonly [Partial<FleetMembers>, RegExp][] = [
    [{ isFound: false }, /seeds do not answer, or name nobody.*\| see that the name of spec\.gossip\.seeds\.dns/],
    [{ isIsolated: true }, /nobody of 2 expected members is heard.*\| see that spec\.gossip\.seeds name the others/],
    [missing('dead'), /there \| 1 of 2 expected members are\npod-b \(10\.0\.0\.2:7946\) is dead \| start those/],
    [missing('suspect'), /\npod-b \(10\.0\.0\.2:7946\) is suspect \|/],
    [{ expected: 5 }, /there \| 2 of 5 expected members are \|/],
    [{ unreachableQuotas: 3 }, /3 quotas of which what is left is held.*\| what a crash may have spent/],
    [
      { unpartedQuotas: 1, unreachableQuotas: 1 },
      /1 quota of which nobody has a part yet.*\| it takes all of the expected members for three seconds/,
    ],
  ];
  for (const [state, words] of rows) {
    const found = liveFleetChecks({ ...SOUND, ...state }).filter((each) => each.result !== 'success');
    t.equal(found.length, 1, JSON.stringify(state));
    t.equal(found[0]?.result, 'warning');
    t.match(`${found[0]?.description} | ${found[0]?.error} | ${found[0]?.hint}`, words);
  }
});
