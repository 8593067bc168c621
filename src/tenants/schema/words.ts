/** The words documents are written in, and what every document has. */
import Type, { type TObject, type TProperties } from 'typebox';
import { NAME } from '../name.ts';

export const AMOUNT = String.raw`\d+(_\d+)*(\.\d+)?`;

/** RFC 1035 §2.3.1, RFC 1123 §2.1. */
export const LABEL = '[A-Za-z0-9]([-A-Za-z0-9]{0,61}[A-Za-z0-9])?';

export const strict = <P extends TProperties>(properties: P, description: string): TObject<P> =>
  Type.Object(properties, { additionalProperties: false, description });
export const text = (title: string, pattern: string, examples: string[], description: string, more: object = {}) =>
  Type.String({ title, pattern, examples, description, maxLength: 4096, ...more });

export const rate = (description: string, more: object = {}) =>
  text('rate', `^${AMOUNT}/(s|min|h|d)$`, ['200/s', '90/min'], description, more);
export const byteRate = (description: string) =>
  text('byte rate', `^${AMOUNT}(B|KiB|MiB|GiB|kB|MB|GB)/(s|min|h|d)$`, ['20MiB/s'], description);
export const size = (description: string, more: object = {}) =>
  text('size', `^${AMOUNT}(B|KiB|MiB|GiB|TiB|kB|MB|GB|TB)$`, ['10KiB', '5MiB'], description, more);
export const duration = (description: string, more: object = {}) =>
  text('duration', `^${AMOUNT}(ms|s|m|min|h|d)$`, ['250ms', '2s'], description, more);
export const percent = (description: string, more: object = {}) =>
  text('percentage', `^${AMOUNT}%$`, ['20%'], description, more);
export const name = (description: string) => text('name', NAME, ['acme'], description, { maxLength: 63 });
export const port = (description: string, preset: number) =>
  Type.Integer({ minimum: 0, maximum: 65535, default: preset, description });
export const flag = (description: string, preset: boolean) => Type.Boolean({ default: preset, description });

const metadata = strict(
  {
    name: name('Unique among the documents of its kind.'),
    labels: Type.Optional(
      Type.Record(Type.String({ maxLength: 63 }), Type.String({ maxLength: 256, description: 'Whatever you like.' }), {
        description: 'Free labels, shown by `reeve tenants get`.',
      }),
    ),
  },
  'What the document is called.',
);

export const document = <K extends string, S extends TProperties>(kind: K, spec: TObject<S>, description: string) =>
  strict(
    {
      apiVersion: Type.Literal('reeve.dev/v1', { description: 'The version of the schema.' }),
      kind: Type.Literal(kind, { description: 'What the document is.' }),
      metadata,
      spec,
    },
    description,
  );

/** A listener that only this machine reaches. */
export const loopbackListener = (preset: number, description: string) =>
  strict(
    {
      host: Type.Optional(
        Type.Union([Type.Literal('127.0.0.1'), Type.Literal('::1'), Type.Literal('localhost')], {
          title: 'loopback address',
          examples: ['127.0.0.1'],
          default: '127.0.0.1',
          description: 'Loopback only.',
        }),
      ),
      port: Type.Optional(port('Port; 0 picks a free one.', preset)),
    },
    description,
  );
