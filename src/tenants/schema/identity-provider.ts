/** Who signs tokens. */
import Type from 'typebox';
import { document, duration, flag, strict } from './words.ts';

export const IdentityProviderSchema = document(
  'IdentityProvider',
  strict(
    {
      type: Type.Literal('jwt', { description: 'Signed JSON Web Tokens (RFC 7519, RFC 8725).' }),
      issuer: Type.String({
        minLength: 1,
        maxLength: 512,
        examples: ['https://id.example'],
        description: 'The exact `iss`.',
      }),
      audiences: Type.Array(Type.String({ minLength: 1, maxLength: 256 }), {
        minItems: 1,
        maxItems: 16,
        description: 'One of these must be in `aud`.',
      }),
      algorithms: Type.Array(
        Type.Union(
          (
            [
              'RS256',
              'RS384',
              'RS512',
              'PS256',
              'PS384',
              'PS512',
              'ES256',
              'ES384',
              'ES512',
              'EdDSA',
              'HS256',
              'HS384',
              'HS512',
            ] as const
          ).map((each) => Type.Literal(each)),
        ),
        {
          minItems: 1,
          maxItems: 13,
          description: 'The only algorithms that are accepted. HS* cannot be mixed with the others.',
        },
      ),
      jwks: Type.Union(
        [
          strict(
            {
              file: Type.String({
                minLength: 1,
                maxLength: 1024,
                description: 'A JWK set, relative to the tenancy directory. Hot.',
              }),
            },
            'Keys from a file.',
          ),
          strict(
            {
              url: Type.String({
                pattern: '^https?://',
                maxLength: 1024,
                title: 'URL',
                examples: ['https://id.example/jwks.json'],
                description: 'A JWK set by https, or by http on loopback. No redirects.',
              }),
              allowPrivate: Type.Optional(flag('Let the URL resolve to a private or loopback address.', false)),
            },
            'Keys from a URL.',
          ),
        ],
        { title: 'key source', examples: ['file: keys.json'], description: 'Where the keys are.' },
      ),
      tenantClaim: Type.String({
        minLength: 1,
        maxLength: 256,
        examples: ['org_id', 'app.tenant'],
        description: 'Claim that names the tenant: a claim of exactly this name, else a path separated by dots.',
      }),
      tokenType: Type.Optional(
        Type.String({
          maxLength: 64,
          examples: ['at+jwt'],
          description: 'The exact `typ` a token must carry, case-insensitive. Default: JWT, at+jwt or none.',
        }),
      ),
      clockSkew: Type.Optional(duration('Tolerated between clocks, at most 10min.', { default: '5s' })),
    },
    'How its tokens are verified.',
  ),
  'Who vouches for tenants.',
);
