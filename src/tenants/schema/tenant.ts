/** A tenant. */
import Type from 'typebox';
import { concurrency, quotaOverride, quotasOf, rates } from './allowance.ts';
import { document, flag, LABEL, name, strict, text } from './words.ts';

export const TenantSchema = document(
  'Tenant',
  strict(
    {
      plan: name('The name of its Plan.'),
      state: Type.Optional(
        Type.Union(
          [
            Type.Literal('pending'),
            Type.Literal('active'),
            Type.Literal('readonly'),
            Type.Literal('suspended'),
            Type.Literal('offboarding'),
          ],
          {
            title: 'tenant state',
            examples: ['active'],
            default: 'active',
            description:
              'pending, suspended and offboarding refuse every request; readonly refuses methods that change state.',
          },
        ),
      ),
      timezone: Type.Optional(
        Type.String({
          title: 'IANA time zone',
          maxLength: 64,
          examples: ['Europe/Berlin'],
          default: 'UTC',
          description: 'Names its quota windows.',
        }),
      ),
      billingDay: Type.Optional(
        Type.Integer({
          minimum: 1,
          maximum: 31,
          default: 1,
          description: 'Day of the month on which its billing period begins; in a shorter month, its last day.',
        }),
      ),
      overrides: Type.Optional(
        strict(
          {
            rate: Type.Optional(rates),
            concurrency: Type.Optional(concurrency),
            quotas: Type.Optional(quotasOf(quotaOverride, 'Quotas by meter.')),
            shadow: Type.Optional(flag('As in the plan.', false)),
          },
          'What differs from the plan, key by key.',
        ),
      ),
      identity: Type.Optional(
        strict(
          {
            claims: Type.Optional(
              Type.Array(Type.String({ minLength: 1, maxLength: 256 }), {
                maxItems: 64,
                description: 'External ids that mean this tenant. The name itself always does.',
              }),
            ),
            hosts: Type.Optional(
              Type.Array(
                text('host name', `^${LABEL}(\\.${LABEL})*$`, ['acme.app.example'], 'A host name.', { maxLength: 253 }),
                { maxItems: 64, description: 'Host names that mean this tenant.' },
              ),
            ),
            apiKeys: Type.Optional(
              Type.Array(
                strict(
                  {
                    id: text('key id', '^[A-Za-z0-9]{1,32}$', ['k1'], 'The middle part of rk_<id>_<secret>.'),
                    hash: text(
                      'key hash',
                      '^hmac-sha256:[0-9a-f]{64}$',
                      [`hmac-sha256:${'0'.repeat(64)}`],
                      'HMAC-SHA256 of the whole key under the pepper, hex.',
                    ),
                    expires: Type.Optional(
                      text(
                        'date',
                        String.raw`^\d{4}-\d{2}-\d{2}(T\d{2}:\d{2}:\d{2}(\.\d+)?Z)?$`,
                        ['2027-01-01'],
                        'No longer valid from this UTC instant on.',
                      ),
                    ),
                  },
                  'One key.',
                ),
                { maxItems: 2, description: 'At most two live keys, so that they can be rotated.' },
              ),
            ),
          },
          'By what the tenant is recognised.',
        ),
      ),
    },
    'Who the tenant is and what it may take.',
  ),
  'One tenant.',
);
