/** What a tenant may take: of its plan, or laid over it. */
import Type, { type TSchema } from 'typebox';
import { AMOUNT, byteRate, duration, flag, name, percent, rate, strict, text } from './words.ts';

const limit = rate('Requests admitted over time by the whole fleet, weighted by the cost of the route.');
const burst = Type.Optional(
  Type.Number({
    exclusiveMinimum: 0,
    maximum: 1e9,
    description: 'Requests that may come at once. Default: one second of the limit, at least 1.',
  }),
);
const credits = Type.Optional(
  strict(
    {
      earn: percent('Share of the unused allowance that is banked, at most 100%.'),
      cap: duration('The bank holds at most this long of the limit; at most 30d.'),
    },
    'Banked burst: what a quiet tenant saves, it may spend before anything else is degraded.',
  ),
);

const requestRate = strict(
  {
    limit,
    burst,
    strict: Type.Optional(
      flag(
        'Never more than limit and burst in a fleet, whatever fails: each sidecar has a fixed part, however the requests are spread.',
        false,
      ),
    ),
    credits,
  },
  'How many requests.',
);

/** Of a route: that of a plan alone can be strict. */
export const routeRate = strict({ limit, burst, credits }, 'How many requests.');

export const rates = strict(
  {
    requests: Type.Optional(requestRate),
    egress: Type.Optional(
      strict(
        { limit: byteRate('Response bytes over time, of the whole fleet, debited when the response is done.') },
        'How many response bytes.',
      ),
    ),
  },
  'Rates over time.',
);

export const concurrency = Type.Integer({
  minimum: 1,
  maximum: 1_000_000,
  description: 'Requests in flight at once, at each sidecar.',
});

export const rung = Type.Union(
  [
    Type.Literal('credit'),
    Type.Literal('deprioritize'),
    Type.Literal('reject'),
    strict({ shape: duration('Longest delay, 1ms to 10s.') }, 'Delay the request until the limit allows it.'),
    strict(
      { stale: duration('How long past its freshness, 1s to 1d; an answer that tells none is never fresh.') },
      'Answer GET and HEAD with an answer from before, where HTTP lets it be kept and shared (RFC 9111).',
    ),
    strict(
      { route: Type.Literal('degraded', { description: 'The upstream of `degraded` in the route.' }) },
      "Send it to the route's degraded upstream.",
    ),
    strict(
      {
        features: Type.Array(name('A feature the application should leave out.'), {
          minItems: 1,
          maxItems: 16,
          description: 'What the application should leave out, 1 to 16.',
        }),
      },
      'Tell the application to degrade.',
    ),
  ],
  {
    title: 'degrade rung',
    examples: ['credit', 'shape: 250ms', 'route: degraded', 'features: [no-recommendations]', 'reject'],
    description: 'One step of the ladder.',
  },
);

/** A meter is what a quota counts, by this name. */
export const METER = '^[a-z][a-z0-9_]{0,62}$';
/** Quotas of a tenant: each is a line that every request of the tenant looks at. */
export const QUOTAS_MAX = 8;

const QUOTA_SAYS = 'Units in one window, or for a gauge at any time: a number, or a size.';
const quotaLimit = text('quota', `^${AMOUNT}(B|KiB|MiB|GiB|TiB|kB|MB|GB|TB)?$`, ['5_000_000', '10GiB'], QUOTA_SAYS);
const per = Type.Union([Type.Literal('day'), Type.Literal('month'), Type.Literal('billing')], {
  title: 'window',
  examples: ['month'],
  default: 'month',
  description: "The window, in the tenant's own zone: billing is a month that begins on its billingDay.",
});
const mode = Type.Union([Type.Literal('soft'), Type.Literal('hard')], {
  title: 'mode',
  examples: ['soft'],
  default: 'soft',
  description:
    'soft: the thresholds say what happens. hard: what would exceed the limit is refused before it is served.',
});

const threshold = strict(
  {
    at: percent('Share of the limit, 1% to 1000%.'),
    do: Type.Union([Type.Literal('notify'), Type.Literal('shape'), Type.Literal('degrade'), Type.Literal('reject')], {
      title: 'action',
      examples: ['notify'],
      description: 'From here on, beside what the thresholds below it do.',
    }),
    rate: Type.Optional(
      text(
        'rate or percentage',
        `^${AMOUNT}(%|/(s|min|h|d))$`,
        ['50%', '10/s'],
        "For shape: requests beyond this rate wait, at most 250ms, or are refused. A percentage is of the tenant's request rate.",
      ),
    ),
  },
  'What happens from a share of the limit on.',
);

export const quota = strict(
  {
    limit: Type.Union([Type.Number({ exclusiveMinimum: 0, maximum: 1e15 }), quotaLimit], {
      title: 'quota',
      examples: ['5_000_000'],
      description: QUOTA_SAYS,
    }),
    per: Type.Optional(per),
    gauge: Type.Optional(flag('The meter is a level, such as bytes stored: the last reported value counts.', false)),
    mode: Type.Optional(mode),
    unit: Type.Optional(
      text('unit', '^[a-z][a-z0-9-]{0,31}$', ['tokens'], 'What is counted, for people and RateLimit-Policy.'),
    ),
    estimate: Type.Optional(
      Type.Number({
        minimum: 0,
        maximum: 1e12,
        description:
          'For hard quotas of what is known only when a request is done: units it reserves until then. Default: as much as the largest of the last ones.',
      }),
    ),
    thresholds: Type.Optional(
      Type.Array(threshold, {
        minItems: 1,
        maxItems: 8,
        description: 'Rising. Default: notify at 80% and at 100%.',
      }),
    ),
  },
  'How much of one meter.',
);

/** Laid over the plan's quota of the meter. */
export const quotaOverride = strict(
  {
    limit: quota.properties.limit,
    per: Type.Optional(per),
    mode: Type.Optional(mode),
  },
  'What differs from the plan; without one there, a quota of its own.',
);

export const quotasOf = <S extends TSchema>(each: S, description: string) =>
  Type.Record(Type.String({ pattern: METER }), each, {
    additionalProperties: false,
    maxProperties: QUOTAS_MAX,
    description,
  });
