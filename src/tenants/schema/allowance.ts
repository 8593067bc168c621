/** What a tenant may take: of its plan, or laid over it. */
import Type from 'typebox';
import { byteRate, duration, name, percent, rate, strict } from './words.ts';

export const requestRate = strict(
  {
    limit: rate('Requests admitted over time, weighted by the cost of the route.'),
    burst: Type.Optional(
      Type.Number({
        exclusiveMinimum: 0,
        maximum: 1e9,
        description: 'Requests that may come at once. Default: one second of the limit, at least 1.',
      }),
    ),
    credits: Type.Optional(
      strict(
        {
          earn: percent('Share of the unused allowance that is banked, at most 100%.'),
          cap: duration('The bank holds at most this long of the limit; at most 30d.'),
        },
        'Banked burst: what a quiet tenant saves, it may spend before anything else is degraded.',
      ),
    ),
  },
  'How many requests.',
);

export const rates = strict(
  {
    requests: Type.Optional(requestRate),
    egress: Type.Optional(
      strict(
        { limit: byteRate('Response bytes over time, debited when the response is done.') },
        'How many response bytes.',
      ),
    ),
  },
  'Rates over time.',
);

export const concurrency = Type.Integer({ minimum: 1, maximum: 1_000_000, description: 'Requests in flight at once.' });

export const rung = Type.Union(
  [
    Type.Literal('credit'),
    Type.Literal('deprioritize'),
    Type.Literal('reject'),
    strict({ shape: duration('Longest delay, 1ms to 10s.') }, 'Delay the request until the limit allows it.'),
    strict(
      { stale: duration('Oldest answer.') },
      'Answer from a stale copy. Accepted; takes effect in a later version.',
    ),
    strict({ route: Type.Literal('degraded') }, "Send it to the route's degraded upstream."),
    strict(
      { features: Type.Array(name('A feature the application should leave out.'), { minItems: 1, maxItems: 16 }) },
      'Tell the application to degrade.',
    ),
  ],
  {
    title: 'degrade rung',
    examples: ['credit', 'shape: 250ms', 'route: degraded', 'features: [no-recommendations]', 'reject'],
    description: 'One step of the ladder.',
  },
);

export const quota = Type.Object(
  {},
  { additionalProperties: true, title: 'quota', description: 'A quota. Accepted; takes effect in a later version.' },
);
