/** Admission to the upstreams of one sidecar: the stage of the chain, and its explanation. */
import type { Clock, Timers } from '../../core/index.ts';
import type { Filter, Routed } from '../../pipeline/index.ts';
import type { Metrics } from '../../telemetry/index.ts';
import type { SidecarConfig, Tenant } from '../../tenants/index.ts';
import { AdmissionCounts } from './admission-counts.ts';
import { admissionFilter } from './filter.ts';
import { Gate } from './gate.ts';

export interface AdmissionOptions {
  readonly clock: Clock;
  readonly timers: Timers;
  readonly metrics: Metrics;
  readonly admission: SidecarConfig['admission'];
  /** Of each upstream: its requests at once are bounded by its connections. */
  readonly connectionsMax: number;
  /** Names of the upstreams. */
  readonly upstreams: Iterable<string>;
}

export interface AdmissionExplanation {
  readonly upstream: string;
  /** Requests it may have unanswered at once. */
  readonly limit: number;
  readonly unanswered: number;
  /** Requests whose answer has not ended. */
  readonly open: number;
  readonly waiting: number;
  /** Of the tenant. */
  readonly waitingOfTenant: number;
  /** Whether a request that came now would wait for its turn. */
  readonly wouldWait: boolean;
  /** How long its answers usually take to begin, ms; 0 when that is not known yet. */
  readonly usualMs: number;
}

export interface Admission {
  readonly filter: Filter<Routed>;
  /** Undefined where admission is off, and for an upstream that is not there. */
  explain(upstream: string, tenant: Tenant): AdmissionExplanation | undefined;
}

/** Who wait of one tenant: as of the shaping rung. */
const WAITING_MAX = 64;
/** Of all, at one upstream: so many for each connection, which says how fast the line moves, and no more than may be shaped in all. */
const WAITING_PER_CONNECTION = 4;
const WAITING_ALL_MAX = 4096;
/** Held for all who wait at one upstream (the design's figure). */
const WAITING_BYTES_MAX = 32 * 1024 * 1024;
/** A queue stands when it was not empty for the longest wait; then a tenth of that is waited. RFC 8289 has a twentieth, for packets. */
const STANDING_SHARE = 0.1;

export function createAdmission(options: AdmissionOptions): Admission {
  const { clock, timers, metrics, admission, connectionsMax, upstreams } = options;
  const { enabled, min, max, tolerance, waitMaxMs } = admission;
  if (!enabled) return { filter: { name: 'admission', onThrow: 'deny' }, explain: () => undefined };
  const gate = {
    gradient: { min, max: Math.min(max, connectionsMax), tolerance },
    queue: {
      ofTenantMax: WAITING_MAX,
      max: Math.min(WAITING_ALL_MAX, connectionsMax * WAITING_PER_CONNECTION),
      bytesMax: WAITING_BYTES_MAX,
      standing: { intervalMs: waitMaxMs, targetMs: waitMaxMs * STANDING_SHARE },
    },
    openMax: connectionsMax,
  };
  const gates = new Map([...upstreams].map((name) => [name, new Gate(gate, clock, timers)]));
  const counts = new AdmissionCounts(metrics, gates);
  return {
    filter: admissionFilter({ clock, gates, counts, waitMaxMs }),
    explain(upstream, { id }) {
      const at = gates.get(upstream);
      return (
        at && {
          upstream,
          limit: at.limit,
          unanswered: at.unanswered,
          open: at.open,
          waiting: at.waiting,
          waitingOfTenant: at.waitingOf(id),
          wouldWait: !at.isFree,
          usualMs: Math.round(at.usualMs * 100) / 100,
        }
      );
    },
  };
}
