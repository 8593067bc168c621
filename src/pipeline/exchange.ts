// hot path
/**
 * One request's passage. One allocation a request: the constructor assigns every slot, so all exchanges share
 * one hidden class (test/pipeline/shape.test.ts).
 *
 * Slots are filled in the order of the chain and each by one room only:
 *   sanitised, tenant, source ← identity      grant, permit, reservation, admittedAt, left, place, leave, copy, usage ← limits      hop, operation, older, newer ← metering
 *   endpoint, traceId, sentAt, headAt, status ← proxy
 */
import type { MonotonicMs } from '../core/index.ts';
import type { Route, Snapshot, Tenant } from '../tenants/index.ts';
import type { Headers } from '../wire/index.ts';

/** The trust class of the listener a request came in by; nothing else decides trust. `edge`: clients. `mesh`: other sidecars. */
export type TrustClass = 'edge' | 'mesh';

/** Where a verified tenant came from. */
export type IdentitySource = 'jwt' | 'apiKey' | 'host' | 'path' | 'header';

/**
 * What limits decided for an admitted request.
 * - `pass`: within the limit. - `notice`: within it, but near. - `credit`: paid from banked burst.
 * - `shape`: delayed until the limit allowed it. - `deprioritize`: over the limit, served behind others when it is tight.
 * - `degrade`: over the limit, to be served cheaper. - `stale`: over the limit, answered with an answer from before.
 */
export type Decision = 'pass' | 'notice' | 'credit' | 'shape' | 'deprioritize' | 'degrade' | 'stale';

export interface Grant {
  readonly decision: Decision;
  /** True when the ladder's `route` rung applies and the route has a degraded upstream. */
  readonly useDegradedRoute: boolean;
  /** The limit would have refused, delayed or degraded, but the allowance is in shadow. */
  readonly isShadowed: boolean;
}

/** Takes a copy of the content of an answer on its way to the client. */
export interface Copy {
  /** The bytes are another's when it returns. */
  add(bytes: Buffer, from: number, to: number): void;
}

/** What the application said was used, of one meter. Below zero: given back. */
export interface UsedUnits {
  readonly meter: string;
  readonly units: number;
}

/** One place requests are sent to. */
export interface Endpoint {
  /** `application`, or the name in the sidecar's `upstreams`. */
  readonly name: string;
  /** Where it is, as the boot configuration says it: for the operator. */
  readonly address: string;
}

/** What the listener knows when a request head is complete. */
export interface Arrival {
  /** Kept or made `x-request-id`. */
  readonly id: string;
  readonly trustClass: TrustClass;
  readonly snapshot: Snapshot;
  readonly acceptedAt: MonotonicMs;
  readonly method: string;
  /** Origin-form target as it will be sent on, query included. */
  readonly target: string;
  /** The target without query. Not decoded: what limits and routes see is what the application sees. */
  readonly path: string;
  /** Host of the request (absolute-form wins), lower case, without port and trailing dot. */
  readonly host: string;
  /** Of the same; 0 without one. */
  readonly port: number;
  /** The head is all of the request: no content follows, and it does not become a tunnel. */
  readonly isWhole: boolean;
  /** The client's fields after the gate; hop-by-hop fields are gone. */
  readonly headers: Headers;
  /** Address of the peer's socket. */
  readonly peer: string;
  readonly route: Route | undefined;
}

const NOTHING: readonly string[] = [];

export class Exchange implements Arrival {
  readonly id: string;
  readonly trustClass: TrustClass;
  readonly snapshot: Snapshot;
  readonly acceptedAt: MonotonicMs;
  readonly method: string;
  readonly target: string;
  readonly path: string;
  readonly host: string;
  readonly port: number;
  readonly isWhole: boolean;
  readonly headers: Headers;
  readonly peer: string;
  readonly route: Route | undefined;
  /** True once protected names were removed from the request. */
  sanitised: boolean;
  tenant: Tenant | undefined;
  source: IdentitySource | undefined;
  grant: Grant | undefined;
  /** By which limits know what they took for this exchange when they give it back. */
  permit: number;
  /** By which they know what they reserved; 0: nothing. */
  reservation: number;
  /** When they let it pass, ms on the monotonic clock; 0 before. */
  admittedAt: number;
  /** What was left of each limit when they refused it, as `RateLimit` says it: a moment later it may be more. Empty: they did not. */
  left: string;
  /** What it holds of an upstream's room; admission alone reads it. */
  place: number;
  /** There while it waits in a line: takes it out. By who holds the line. */
  leave: (() => void) | undefined;
  /** There while its answer is kept for later: the engine gives it the content. */
  copy: Copy | undefined;
  /** What the application's answer says was used. */
  usage: readonly UsedUnits[] | undefined;
  /** Its client is gone: it joins no line any more. */
  isAbandoned: boolean;
  /** Sidecars that record it passed before; 0: it began here. */
  hop: number;
  /** Where it began, SERVICE/ROUTE; empty: here. */
  operation: string;
  /** Its neighbours among those that are not over, by the time of their last record; metering alone reads them. */
  older: Exchange | undefined;
  newer: Exchange | undefined;
  endpoint: Endpoint | undefined;
  /** Of the trace it is sent on in: 32 hex digits. */
  traceId: string | undefined;
  /** When the last byte of the request went to the upstream, and when the head of its answer came, ms; 0 before. By the engine. */
  sentAt: number;
  headAt: number;
  /** Of that answer; 0 before. By the engine. */
  status: number;
  /** Fields for the hop to the application, name and value alternating; the engine appends them last, behind who the tenant is. */
  injected: readonly string[];
  /** Body bytes, counted by the engine alone. */
  requestBytes: number;
  responseBytes: number;
  /** How many stages saw the request: exactly these see the response and the end. */
  entered: number;

  constructor(arrival: Arrival) {
    this.id = arrival.id;
    this.trustClass = arrival.trustClass;
    this.snapshot = arrival.snapshot;
    this.acceptedAt = arrival.acceptedAt;
    this.method = arrival.method;
    this.target = arrival.target;
    this.path = arrival.path;
    this.host = arrival.host;
    this.port = arrival.port;
    this.isWhole = arrival.isWhole;
    this.headers = arrival.headers;
    this.peer = arrival.peer;
    this.route = arrival.route;
    this.sanitised = false;
    this.tenant = undefined;
    this.source = undefined;
    this.grant = undefined;
    this.permit = 0;
    this.reservation = 0;
    this.admittedAt = 0;
    this.left = '';
    this.place = 0;
    this.leave = undefined;
    this.copy = undefined;
    this.usage = undefined;
    this.isAbandoned = false;
    this.hop = 0;
    this.operation = '';
    this.older = undefined;
    this.newer = undefined;
    this.endpoint = undefined;
    this.traceId = undefined;
    this.sentAt = 0;
    this.headAt = 0;
    this.status = 0;
    this.injected = NOTHING;
    this.requestBytes = 0;
    this.responseBytes = 0;
    this.entered = 0;
  }

  /** Rare: most applications are told of their tenant alone. */
  inject(name: string, value: string): void {
    this.injected = [...this.injected, name, value];
  }

  /** By the engine, when the client is gone while the stages decide: who waits in a line leaves it. */
  abandon(): void {
    this.isAbandoned = true;
    this.leave?.();
  }
}

/** What an exchange carries after each stage: the chain's types prove the order. */
export type Sanitised = Exchange & { sanitised: true };
export type Identified = Sanitised & { tenant: Tenant; source: IdentitySource };
export type Admitted = Identified & { grant: Grant };
export type Routed = Admitted & { endpoint: Endpoint };
