/** The application's port: what it takes, and whom it refuses. */
import { request } from 'node:http';
import t from 'tap';
import { openApplication } from '../../src/admin/index.ts';
import { systemTimers } from '../../src/core/index.ts';
import type { UsageReported } from '../../src/limits/index.ts';

t.test('reports by POST as JSON on a loopback name, of at most 16 KiB; everything else is told why not', async (t) => {
  const bodies: string[] = [];
  let next: UsageReported = { kind: 'counted', tenant: 'acme', counted: ['a'], ignored: ['b'], units: [] };
  const report = (body: string): UsageReported => {
    bodies.push(body);
    return next;
  };
  const listener = await openApplication({ host: '127.0.0.1', port: 0, timers: systemTimers, report });
  t.teardown(() => listener.close());
  const ask = (
    method: string,
    path: string,
    o: { body?: string; host?: string; type?: string | undefined } = {},
  ): Promise<{ status: number | undefined; json: Record<string, unknown>; allow: string | undefined }> =>
    new Promise((resolve, reject) => {
      const { body = '', host = 'localhost', type = 'application/json' } = o;
      const headers = {
        host,
        'content-length': Buffer.byteLength(body),
        ...('type' in o && o.type === undefined ? {} : { 'content-type': type }),
      };
      const req = request({ host: '127.0.0.1', port: listener.port, method, path, headers }, (res) => {
        let text = '';
        res.on('data', (chunk: Buffer) => (text += chunk.toString()));
        res.on('end', () =>
          resolve({ status: res.statusCode, json: text === '' ? {} : JSON.parse(text), allow: res.headers.allow }),
        );
      });
      req.on('error', reject).end(body);
    });
  t.match(await ask('POST', '/v1/usage', { body: '{"x":1}', type: 'application/json; charset=utf-8' }), {
    status: 200,
    json: { counted: ['a'], ignored: ['b'] },
  });
  next = { kind: 'malformed', detail: 'The body is no JSON.' };
  t.match(await ask('POST', '/v1/usage'), {
    status: 400,
    json: { code: 'malformed-usage', detail: 'The body is no JSON.' },
  });
  next = { kind: 'unknown_tenant', tenant: 'x'.repeat(100) };
  t.match(await ask('POST', '/v1/usage'), {
    status: 404,
    json: { code: 'tenant-unknown', detail: `There is no tenant "${'x'.repeat(63)}".` },
  });
  t.same(bodies, ['{"x":1}', '', '']);
  t.match(await ask('POST', '/v1/usage', { body: 'x'.repeat(16_385) }), {
    status: 413,
    json: { code: 'body-too-large' },
  });
  for (const type of ['text/plain', 'application/x-www-form-urlencoded', 'application/jsonx', undefined])
    t.match(await ask('POST', '/v1/usage', { type }), { status: 415, json: { code: 'media-type' } }, String(type));
  t.match(await ask('POST', '/v1/usage', { host: 'evil.test' }), { status: 403, json: { code: 'not-loopback' } });
  t.match(await ask('POST', '/v1/usages'), { status: 404, json: { code: 'not-found' } });
  t.match(await ask('GET', '/v1/usage'), {
    status: 405,
    json: { code: 'method-not-allowed' },
    allow: 'GET, HEAD, POST',
  });
  t.match(await ask('DELETE', '/v1/usage'), { status: 405, allow: 'GET, HEAD, POST' });
  t.match(await ask('GET', '/'), { status: 200, json: { endpoints: { 'POST /v1/usage': String } } });
  t.equal(bodies.length, 3, 'what is refused is not looked at');
  await t.rejects(openApplication({ host: '127.0.0.1', port: listener.port, timers: systemTimers, report }), {
    code: 'listen-failed',
    remedy: /--application-port, its variable, or application\.port/,
  });
});
