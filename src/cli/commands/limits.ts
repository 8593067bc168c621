/** `reeve limits check`: a request explained by the sidecar that would serve it; spends nothing. */
import type { Explanation } from '../../admin/index.ts';
import { ReeveError } from '../../core/index.ts';
import { askAboutTenant } from '../ask-admin.ts';
import { type Form, NO, paint, printJson, YES } from '../output.ts';

interface Asking {
  readonly admin: string;
  readonly output: Form;
  readonly method: string;
  readonly path: string;
}

export async function checkLimits(name: string, { admin, output, method, path }: Asking): Promise<void> {
  if (!path.startsWith('/'))
    throw new ReeveError('usage', `expected a path, got ${JSON.stringify(path)}`, {
      place: '--path',
      remedy: 'such as /exports/1',
    });
  const query = new URLSearchParams({ tenant: name, method, path });
  const explanation = await askAboutTenant<Explanation>(admin, name, `/v1/explain?${query}`);
  if (output === 'json') printJson(explanation);
  else process.stdout.write(asText(explanation));
}

function asText(explanation: Explanation): string {
  const { tenant, generation, identify, limits, method, path } = explanation;
  const rows: [string, string][] = [
    ['tenant', `${tenant}, ${identify.state}, plan ${limits.plan}${limits.shadow ? ' in shadow' : ''}`],
    ['config', `generation ${generation}`],
    ...identify.sources.map((source): [string, string] => ['identity', sourceText(source)]),
    ['route', routeText(limits)],
    ['requests', requestsText(limits)],
    ['egress', limits.egress === undefined ? 'no limit' : `${limits.egress.limit}, ${limits.egress.left} bytes left`],
    [
      'concurrency',
      `${limits.concurrency.inFlight} of ${limits.concurrency.limit ?? 'no limit'}, ${limits.waiting} waiting`,
    ],
    ...admissionRows(explanation),
    ['ladder', `${limits.ladder.join(' → ')}${limits.isOverLong ? ' (over its limit for a while)' : ''}`],
  ];
  const text = rows.map(([name, value]) => `${name.padEnd(12)} ${value}\n`).join('');
  return `${text}${method} ${path} would get: ${outcomeText(explanation)}\n`;
}

function sourceText({ name, isProof, accepts, refuses }: Explanation['identify']['sources'][number]): string {
  const none = refuses === undefined ? 'nothing here names this tenant' : `refuses ${refuses}`;
  const means = accepts.length === 0 ? none : accepts.join(' · ');
  return `${name}${isProof ? '' : ' (must agree, proves nothing alone)'}: ${means}`;
}

function routeText({ route }: Explanation['limits']): string {
  if (route === undefined) return 'none';
  const limit = route.limit === undefined ? '' : `, ${route.limit}, ${route.left} left`;
  return `${route.name}, cost ${route.cost}${limit}${route.critical ? ', critical' : ''}`;
}

function requestsText({ requests }: Explanation['limits']): string {
  if (requests === undefined) return 'no limit';
  return `${requests.limit}, ${requests.left} of ${requests.burst} left, ${requests.credit} in credit`;
}

function admissionRows({ admission }: Explanation): [string, string][] {
  if (admission === null) return [];
  const { upstream, unanswered, limit, waiting, waitingOfTenant, usualMs } = admission;
  const usual = usualMs > 0 ? `, answers usually in ${usualMs} ms` : '';
  const line = `${waiting} waiting${waiting > 0 ? ` (${waitingOfTenant} of the tenant's)` : ''}`;
  return [['admission', `${upstream}: ${unanswered} of ${limit} unanswered, ${line}${usual}`]];
}

function outcomeText({ wouldGet, upstream, admission }: Explanation): string {
  const { decision, code, status, because, waitMs, rung } = wouldGet;
  if (code !== null)
    return `${NO()} ${paint('red', `${status} ${code}`)}, ${because}${waitMs > 0 ? ` (retry after ${waitMs} ms)` : ''}`;
  const step = rung === null || rung === decision ? '' : ` (${rung})`;
  const wait = waitMs > 0 ? `, after ${waitMs} ms` : '';
  return `${YES()} ${paint('green', decision)}${step}, ${because}; goes to ${upstream}${wait}${admission?.wouldWait === true ? ', when its turn comes' : ''}`;
}
