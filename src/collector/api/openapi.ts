/** The API as an OpenAPI document, made of the table by which requests are checked. */
import { pages } from './pages.ts';

export function openapi(version: string): object {
  const paths: Record<string, Record<string, object>> = {};
  for (const { method, path, summary, parameters, types } of pages) {
    const inPath = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => ({
      name,
      in: 'path',
      required: true,
      description: 'its id, as /v1/spools says',
      schema: { type: 'string' },
    }));
    const inQuery = Object.entries(parameters).map(([name, description]) => ({
      name,
      in: 'query',
      description,
      schema: { type: 'string' },
    }));
    paths[path] ??= {};
    paths[path][method.toLowerCase()] = {
      summary,
      parameters: [...inPath, ...inQuery],
      responses: {
        200: { description: 'the answer', content: Object.fromEntries(types.map((type) => [type.split(';')[0], {}])) },
        default: { description: 'a problem (RFC 9457)', content: { 'application/problem+json': {} } },
      },
    };
  }
  return {
    openapi: '3.1.0',
    info: { title: 'Reeve collector', version, description: 'Usage of every tenant. docs/collector.md tells more.' },
    components: { securitySchemes: { token: { type: 'http', scheme: 'bearer' } } },
    security: [{}, { token: [] }],
    paths,
  };
}
