/** What a schema cannot say of a document: dates that exist, rates that admit somebody, words that do nothing yet. */
import { parseByteRatePerSec, parseRatePerSec } from '../../core/index.ts';
import type {
  IdentityProviderDocument,
  Kind,
  PlanDocument,
  RouteDocument,
  SidecarDocument,
  TenantDocument,
} from '../schema.ts';
import { toQuotas } from './meaning-of-quotas.ts';
import type { Objection } from './objection.ts';
import {
  BANK,
  BODY,
  BYTE_RATE,
  DELAY,
  DRAIN,
  HEAD,
  outside,
  PERCENT,
  RATE,
  type Range,
  REMOVAL,
  SKEW,
  STALE,
  STREAM,
  TIMEOUT,
} from './ranges.ts';
import { isZone, zoneRemedy } from './zone.ts';

type Rates = NonNullable<PlanDocument['spec']['rate']>;
type Path = readonly (string | number)[];
type AnyDocument = PlanDocument | TenantDocument | IdentityProviderDocument | RouteDocument | SidecarDocument;

/** What is to be said of a document that its schema accepted. An error makes it a broken one. */
export function objectionsTo(kind: Kind, document: AnyDocument): Objection[] {
  if (kind === 'Plan') return toPlan(document as PlanDocument);
  if (kind === 'Tenant') return toTenant(document as TenantDocument);
  if (kind === 'IdentityProvider') return toProvider(document as IdentityProviderDocument);
  return kind === 'Route' ? toRoute(document as RouteDocument) : toSidecar(document as SidecarDocument);
}

function error(path: Path, message: string, remedy: string | undefined): Objection {
  return { severity: 'error', path, isKey: false, message, remedy };
}

/** At most one: a value that is there is in its range. */
function inRange(path: Path, text: string | undefined, range: Range): Objection[] {
  const found = text === undefined ? undefined : outside(range, text);
  return found === undefined ? [] : [error(path, found.message, found.remedy)];
}

function toPlan({ spec }: PlanDocument): Objection[] {
  return [
    ...toQuotas(['spec', 'quotas'], spec.quotas, spec.rate?.requests !== undefined),
    ...toLadder(['spec', 'degrade'], spec.degrade ?? []),
    ...toRates(['spec'], spec.rate),
  ];
}

type Ladder = NonNullable<PlanDocument['spec']['degrade']>;

function toLadder(path: Path, ladder: Ladder): Objection[] {
  const end = ladder.indexOf('reject');
  return ladder.flatMap((rung, at) => [
    ...toRung([...path, at], rung),
    ...(end !== -1 && at > end ? [unreached([...path, at])] : []),
  ]);
}

function unreached(path: Path): Objection {
  const message = 'is never reached: it stands behind reject';
  return { severity: 'warning', path, isKey: false, message, remedy: 'put reject last' };
}

function toRung(path: Path, rung: Ladder[number]): Objection[] {
  if (typeof rung === 'string') return [];
  if ('shape' in rung) return inRange([...path, 'shape'], rung.shape, DELAY);
  return 'stale' in rung ? inRange([...path, 'stale'], rung.stale, STALE) : [];
}

function toRates(path: Path, rates: Rates | undefined): Objection[] {
  const { requests, egress } = rates ?? {};
  const at = [...path, 'rate'];
  const objections: Objection[] = [];
  if (egress !== undefined)
    objections.push(...toLimit([...at, 'egress', 'limit'], egress.limit, parseByteRatePerSec, BYTE_RATE));
  if (requests === undefined) return objections;
  const of = [...at, 'requests'];
  objections.push(...toLimit([...of, 'limit'], requests.limit, parseRatePerSec, RATE));
  if (requests.burst !== undefined && requests.burst < 1)
    objections.push(error([...of, 'burst'], 'a burst under 1 admits nobody', 'use at least 1'));
  if (requests.strict === true && requests.credits !== undefined)
    objections.push(
      error([...of, 'credits'], 'what is banked would exceed a strict limit', 'leave out credits or strict'),
    );
  objections.push(...inRange([...of, 'credits', 'earn'], requests.credits?.earn, PERCENT));
  objections.push(...inRange([...of, 'credits', 'cap'], requests.credits?.cap, BANK));
  return objections;
}

function toLimit(path: Path, text: string, parse: Range['parse'], range: Range): Objection[] {
  if (parse(text) !== 0) return inRange(path, text, range);
  return [error(path, 'a rate of zero admits nobody', 'use state: suspended to refuse a tenant')];
}

function toTenant({ spec }: TenantDocument): Objection[] {
  const objections = [
    ...toRates(['spec', 'overrides'], spec.overrides?.rate),
    ...toQuotas(['spec', 'overrides', 'quotas'], spec.overrides?.quotas, true),
  ];
  if (spec.timezone !== undefined && !isZone(spec.timezone))
    objections.push(
      error(
        ['spec', 'timezone'],
        `expected an IANA time zone such as Europe/Berlin, got ${JSON.stringify(spec.timezone)}`,
        zoneRemedy(spec.timezone),
      ),
    );
  const ids = new Set<string>();
  for (const [at, { id, expires }] of (spec.identity?.apiKeys ?? []).entries()) {
    const path = ['spec', 'identity', 'apiKeys', at];
    if (expires !== undefined && !isDate(expires))
      objections.push(
        error([...path, 'expires'], `expected a date such as 2027-01-01, got ${JSON.stringify(expires)}`, undefined),
      );
    if (ids.has(id)) objections.push(error([...path, 'id'], `the key id "${id}" stands here twice`, 'rename one'));
    ids.add(id);
  }
  return objections;
}

/** Whether the day exists: 30 February would silently become a day in March. */
function isDate(text: string): boolean {
  const date = new Date(text);
  return !Number.isNaN(date.getTime()) && date.toISOString().slice(0, 10) === text.slice(0, 10);
}

function toProvider({ spec }: IdentityProviderDocument): Objection[] {
  const algorithms: readonly string[] = spec.algorithms;
  const symmetric = algorithms.filter((each) => each.startsWith('HS')).length;
  const skew = inRange(['spec', 'clockSkew'], spec.clockSkew, SKEW);
  if (symmetric === 0 || symmetric === algorithms.length) return skew;
  return [
    ...skew,
    error(
      ['spec', 'algorithms'],
      'HS* together with public-key algorithms lets a public key be used as a secret',
      'use two IdentityProviders',
    ),
  ];
}

function toRoute({ spec }: RouteDocument): Objection[] {
  const { path } = spec.match;
  const star = path.indexOf('*');
  const isMisread = star !== -1 && !(star === path.length - 1 && path.endsWith('/*'));
  return [
    ...(isMisread
      ? [error(['spec', 'match', 'path'], '* means a prefix only as the last segment', 'end the path in /*')]
      : []),
    ...toRates(['spec'], spec.rate),
    ...inRange(['spec', 'timeout'], spec.timeout, TIMEOUT),
    ...inRange(['spec', 'bodyMax'], spec.bodyMax, BODY),
  ];
}

function toSidecar({ spec }: SidecarDocument): Objection[] {
  const { wire } = spec;
  return [
    ...inRange(['spec', 'tenancy', 'removeGrace'], spec.tenancy.removeGrace, REMOVAL),
    ...inRange(['spec', 'anonymous', 'limit'], spec.anonymous?.limit, RATE),
    ...inRange(['spec', 'metering', 'streamEvery'], spec.metering?.streamEvery, STREAM),
    ...inRange(['spec', 'wire', 'headBytesMax'], wire?.headBytesMax, HEAD),
    ...inRange(['spec', 'wire', 'targetBytesMax'], wire?.targetBytesMax, HEAD),
    ...inRange(['spec', 'wire', 'bodyBytesMax'], wire?.bodyBytesMax, BODY),
    ...inRange(['spec', 'wire', 'headTimeout'], wire?.headTimeout, TIMEOUT),
    ...inRange(['spec', 'wire', 'idleTimeout'], wire?.idleTimeout, TIMEOUT),
    ...inRange(['spec', 'wire', 'connectTimeout'], wire?.connectTimeout, TIMEOUT),
    ...inRange(['spec', 'wire', 'responseTimeout'], wire?.responseTimeout, TIMEOUT),
    ...inRange(['spec', 'admission', 'wait'], spec.admission?.wait, TIMEOUT),
    ...inRange(['spec', 'drain', 'delay'], spec.drain?.delay, DRAIN),
    ...inRange(['spec', 'drain', 'grace'], spec.drain?.grace, DRAIN),
    ...inRange(['spec', 'log', 'sample'], spec.log?.sample, PERCENT),
  ];
}
