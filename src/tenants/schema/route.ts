/** A class of requests. */
import Type from 'typebox';
import { routeRate } from './allowance.ts';
import { document, duration, flag, name, size, strict, text } from './words.ts';

export const RouteSchema = document(
  'Route',
  strict(
    {
      match: strict(
        {
          path: text(
            'path pattern',
            // A request's path never holds `?` or `#`: they begin its query and its fragment.
            '^/[!"$->@-~]*$',
            ['/exports/*'],
            'An exact path, or a prefix that ends in `/*`. Without a query.',
            { maxLength: 1024 },
          ),
          methods: Type.Optional(
            Type.Array(text('method', '^[A-Z]{1,20}$', ['POST'], 'An HTTP method.'), {
              minItems: 1,
              maxItems: 16,
              description: 'Default: every method.',
            }),
          ),
        },
        'Which requests.',
      ),
      cost: Type.Optional(
        Type.Number({
          minimum: 0,
          maximum: 1e6,
          default: 1,
          description: 'What one request takes from the request rate.',
        }),
      ),
      critical: Type.Optional(flag('Never shaped, degraded or refused by the ladder; still counted.', false)),
      rate: Type.Optional(
        strict({ requests: routeRate }, 'A limit of this route for each tenant, inside the tenant’s own.'),
      ),
      degraded: Type.Optional(
        strict({ upstream: name('A name in the sidecar’s `upstreams`.') }, 'Where degraded requests go.'),
      ),
      timeout: Type.Optional(duration('From the end of the request to the first byte of the response, 1ms to 1h.')),
      bodyMax: Type.Optional(size('Largest request body.')),
    },
    'What the route costs and where it may go. The most specific match wins: exact before prefix, longer before shorter, with methods before without.',
  ),
  'A class of requests. At most 1,000 are in force.',
);
