/** What of gossip can be scraped. */
import type { Metrics } from '../telemetry/index.ts';
import type { Counts } from './counts.ts';
import type { Member, MemberState } from './member.ts';

const STATES: readonly MemberState[] = ['alive', 'suspect', 'dead', 'left'];

export interface Observed {
  readonly counts: Counts;
  readonly isIsolated: boolean;
  readonly isFound: boolean;
  readonly expected: number;
  readonly health: number;
  members(): readonly Member[];
}

export function registerMetrics(metrics: Metrics, gossip: Observed): void {
  const { counts } = gossip;
  metrics.collected({
    name: 'reeve_gossip_members',
    help: 'Members known, ourselves included, by state; who is dead, and was followed by another at its address, has left.',
    type: 'gauge',
    labels: ['state'],
    rowsMax: STATES.length,
    collect: (emit) => {
      const members = gossip.members();
      const places = new Set(
        members.filter(({ state }) => state === 'alive' || state === 'suspect').map(({ address }) => address),
      );
      const stateOf = ({ state, address }: Member): MemberState =>
        state === 'dead' && places.has(address) ? 'left' : state;
      for (const state of STATES) emit([state], members.filter((each) => stateOf(each) === state).length);
    },
  });
  metrics.gauge({
    name: 'reeve_gossip_members_expected',
    help: 'Members there should be, ourselves included, by the seeds or by what is known.',
    read: () => gossip.expected,
  });
  metrics.gauge({
    name: 'reeve_gossip_unanswered',
    help: '1 while the seeds never answered and nobody was heard: hard quotas are refused.',
    read: () => Number(!gossip.isFound),
  });
  metrics.gauge({
    name: 'reeve_gossip_isolated',
    help: '1 while no peer is heard although some are expected.',
    read: () => Number(gossip.isIsolated),
  });
  metrics.gauge({
    name: 'reeve_gossip_health',
    help: 'Local health: 0 well, up to 8; own timeouts are multiplied by 1 more.',
    read: () => gossip.health,
  });
  metrics.collected({
    name: 'reeve_gossip_bytes_total',
    help: 'Bytes of frames and streams.',
    type: 'counter',
    labels: ['direction'],
    rowsMax: 2,
    collect: (emit) => {
      emit(['in'], counts.receivedBytes);
      emit(['out'], counts.sentBytes);
    },
  });
  metrics.collected({
    name: 'reeve_gossip_frames_refused_total',
    help: 'Frames that were not taken, by reason.',
    type: 'counter',
    labels: ['reason'],
    rowsMax: Object.keys(counts.refused).length,
    collect: (emit) => {
      for (const [reason, count] of Object.entries(counts.refused)) if (count > 0) emit([reason], count);
    },
  });
  metrics.collected({
    name: 'reeve_gossip_dropped_total',
    help: 'Row frames held back by the egress cap, deltas that were not taken, members beyond the bound.',
    type: 'counter',
    labels: ['what'],
    rowsMax: 3,
    collect: (emit) => {
      emit(['frames'], counts.droppedFrames);
      emit(['deltas'], counts.refusedDeltas);
      emit(['members'], counts.overfull);
    },
  });
}
