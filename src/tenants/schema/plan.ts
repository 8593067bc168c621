/** A class of tenants. */
import Type from 'typebox';
import { concurrency, quota, quotasOf, rates, rung } from './allowance.ts';
import { document, flag, strict } from './words.ts';

export const PlanSchema = document(
  'Plan',
  strict(
    {
      weight: Type.Optional(
        Type.Number({
          exclusiveMinimum: 0,
          maximum: 1e6,
          default: 1,
          description: 'Share of the turns at an upstream while requests wait for it.',
        }),
      ),
      rate: Type.Optional(rates),
      concurrency: Type.Optional(concurrency),
      quotas: Type.Optional(
        quotasOf(
          quota,
          'Quotas by meter: api_calls or requests, bytes_in, bytes_out, compute_ms, or any name the application reports.',
        ),
      ),
      degrade: Type.Optional(
        Type.Array(rung, {
          maxItems: 8,
          description: 'The ladder from the first to the last rung. Default: [credit, reject].',
        }),
      ),
      shadow: Type.Optional(flag('Decide and count, but let every request pass.', false)),
    },
    'What the tier allows.',
  ),
  'A subscription tier.',
);
