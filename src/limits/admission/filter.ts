// hot path
/** How admission stands in the path: behind routing, for each upstream has a line of its own. The only file of the folder that knows of requests. */
import type { Clock } from '../../core/index.ts';
import type { Filter, Reply, Routed, Verdict } from '../../pipeline/index.ts';
import type { AdmissionCounts } from './admission-counts.ts';
import type { Rank, Shed } from './band.ts';
import type { Gate, Ticket } from './gate.ts';

/** What the exchange holds (`x.place`). */
const NONE = 0;
/** A place among the unanswered, and among the open. */
const UNANSWERED = 1;
/** A place among the open. */
const OPEN = 2;

/** A turn takes about as long as others at least: what costs less, or nothing, is worth ten turns for one at most. */
const COST_MIN = 0.1;
/** Of the content that came already: more than the engines read of it while nobody takes it. */
const EARLY_BYTES_MAX = 64 * 1024;
/** What a place in line costs beside the request: its ticket, promise and exchange, and the socket that waits. */
const PLACE_BYTES = 2048;

const DETAILS: Readonly<Record<Shed, string>> = {
  overflow: 'Too many requests wait for the application.',
  deadline: 'The application is busy: the request waited as long as it may.',
  standing: 'The application is busy: requests have waited for it for too long.',
};
/** The line moves by then, or it stands and the next try had better wait too. */
const RETRY_MS = 1000;
const replyOf = (shed: Shed): Reply => ({
  code: 'temporary-reduced-capacity',
  detail: DETAILS[shed],
  retryAfterMs: RETRY_MS,
});
const REPLIES: Readonly<Record<Shed, Reply>> = {
  overflow: replyOf('overflow'),
  deadline: replyOf('deadline'),
  standing: replyOf('standing'),
};

export interface AdmissionWorld {
  readonly clock: Clock;
  /** By the name of the upstream. */
  readonly gates: ReadonlyMap<string, Gate>;
  readonly counts: AdmissionCounts;
  /** How long anybody waits at most, ms. */
  readonly waitMaxMs: number;
}

/** `onThrow: 'deny'`: as of the limits, its counts cannot be trusted then. */
export function admissionFilter({ clock, gates, counts, waitMaxMs }: AdmissionWorld): Filter<Routed> {
  const gateOf = (x: Routed): Gate => gates.get(x.endpoint.name) as Gate;

  const wait = (x: Routed, gate: Gate): Promise<Verdict> =>
    new Promise((resolve) => {
      const now = clock.now();
      const ticket: Ticket = {
        key: x.tenant.id,
        weight: x.tenant.plan.weight,
        cost: Math.max(x.route?.cost ?? 1, COST_MIN),
        bytes: bytesOf(x),
        since: now,
        deadline: now + Math.min(waitMaxMs, x.route?.timeoutMs ?? waitMaxMs),
        rank: rankOf(x),
        settle(shed) {
          x.leave = undefined;
          counts.waited(clock.now() - now, shed);
          if (shed === undefined) x.place = UNANSWERED;
          resolve(shed && REPLIES[shed]);
        },
      };
      x.leave = () => {
        x.leave = undefined;
        gate.leave(ticket);
        resolve(undefined);
      };
      gate.join(ticket);
    });

  return {
    name: 'admission',
    onThrow: 'deny',
    onRequest(x) {
      const gate = gateOf(x);
      // Who was delayed before may be gone by now: nobody's place in line would be taken from somebody.
      if (!gate.pass()) return x.isAbandoned ? undefined : wait(x, gate);
      x.place = UNANSWERED;
      return undefined;
    },
    onResponse(x, { status }) {
      // An answer of ours says nothing of the upstream, and the exchange ends with it.
      if (x.place !== UNANSWERED || x.headAt === 0) return;
      const gate = gateOf(x);
      x.place = OPEN;
      // What failed is no measure of work; who answers before it has heard all is not waited for.
      gate.answered(status < 500 && x.sentAt > 0 ? x.headAt - x.sentAt : 0, x.headAt);
      if (status !== 101) return;
      // A tunnel lasts, and has no connection of those that are bounded.
      x.place = NONE;
      gate.ended();
    },
    onDone(x, outcome) {
      if (x.place === NONE) return;
      const gate = gateOf(x);
      if (x.place === UNANSWERED) {
        const isTimeout = outcome.kind === 'replied' && outcome.reply.code === 'upstream-timeout' && x.sentAt > 0;
        const now = clock.now();
        // It would have taken longer still.
        gate.answered(isTimeout ? now - x.sentAt : 0, now);
      }
      x.place = NONE;
      gate.ended();
    },
  };
}

function rankOf({ route, grant }: Routed): Rank {
  if (route?.isCritical === true) return 'critical';
  return grant.decision === 'deprioritize' ? 'low' : 'normal';
}

/** What is held in memory while it waits: its head, and the content that may have come. */
function bytesOf({ headers, target }: Routed): number {
  let bytes = PLACE_BYTES + target.length;
  for (const text of headers.raw) bytes += text.length;
  const length = headers.first('content-length');
  const content = length === undefined ? (headers.has('transfer-encoding') ? EARLY_BYTES_MAX : 0) : Number(length);
  return bytes + Math.min(content, EARLY_BYTES_MAX);
}
