/**
 * The application's own port, on loopback: it reports what its tenants used. Whoever can reach it can count for every tenant, so a page
 * in a browser must not: a Host that is no loopback name is refused, and so is a body that is not declared as JSON, which no form can do.
 */
import type { Timers } from '../core/index.ts';
import type { UsageReported } from '../limits/index.ts';
import { isLoopback } from './admin.ts';
import { json, type Listener, listen, type Page, problem } from './listener.ts';

/** Sixteen meters are 2 KiB at most. */
const BODY_BYTES_MAX = 16_384;
const ENDPOINTS = {
  'POST /v1/usage': '{ "tenant": "acme", "usage": { "llm_tokens": 812, "storage_bytes": "+1024" } }',
};

export interface ApplicationOptions {
  readonly host: string;
  readonly port: number;
  readonly timers: Timers;
  readonly report: (body: string) => UsageReported;
}

export function openApplication({ report, ...o }: ApplicationOptions): Promise<Listener> {
  return listen({ ...o, name: 'application', bodyBytesMax: BODY_BYTES_MAX }, ({ pathname }, req, body) => {
    if (!isLoopback(req.headers.host))
      return problem(403, 'not-loopback', 'The Host of a request of the application must be a loopback name.');
    if (pathname === '/' && req.method !== 'POST') return json({ endpoints: ENDPOINTS });
    if (pathname !== '/v1/usage') return problem(404, 'not-found', 'There is no such page; POST /v1/usage');
    if (req.method !== 'POST') return problem(405, 'method-not-allowed', 'Usage is reported with POST.');
    if (!/^application\/json\s*(;|$)/i.test(req.headers['content-type'] ?? ''))
      return problem(415, 'media-type', 'Send the report with Content-Type: application/json.');
    return pageOf(report(body));
  });
}

function pageOf(reported: UsageReported): Page {
  if (reported.kind === 'malformed') return problem(400, 'malformed-usage', reported.detail);
  if (reported.kind === 'unknown_tenant')
    return problem(404, 'tenant-unknown', `There is no tenant ${JSON.stringify(reported.tenant.slice(0, 63))}.`);
  return json({ counted: reported.counted, ignored: reported.ignored });
}
