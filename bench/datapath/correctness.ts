/** Before a system is measured it must do the work it is measured at: one failure, and the run is void. */
import { Agent, request } from 'node:http';
import { isAtLeast, jobName } from './job.ts';
import type { Running } from './system.ts';
import { TENANTS, tenantName, tierOf } from './tenants.ts';

interface Answer {
  readonly status: number;
  readonly text: string;
}

interface Echo {
  readonly rawHeaders: readonly string[];
  readonly body: string;
}

type Headers = Readonly<Record<string, string | readonly string[]>>;

/** Throws with what was expected and what came; returns what was found good. */
export async function checkCorrectness(running: Running): Promise<string[]> {
  const { system, place } = running;
  const passed: string[] = [];
  const check = (what: string, isSo: boolean, saw: string): void => {
    if (!isSo) throw new Error(`${system.name} at ${jobName(place.job)} is void: ${what}; saw ${saw}`);
    passed.push(what);
  };
  await checkPassage(running, check);
  if (isAtLeast(place.job.level, 'W1')) await checkTenant(running, check);
  if (isAtLeast(place.job.level, 'W2')) await checkRefusals(running, check);
  if (isAtLeast(place.job.level, 'W3')) await checkLimit(running, check);
  if (isAtLeast(place.job.level, 'W4')) await checkMetrics(running, check);
  return passed;
}

type Check = (what: string, isSo: boolean, saw: string) => void;

/** Credentials of a tenant at the level of the run. */
export function headersOf({ place: { job, tokens } }: Running, rank: number): Record<string, string> {
  if (job.level === 'W0') return {};
  if (job.level === 'W1') return { 'x-org': tenantName(rank) };
  return { authorization: `Bearer ${tokens.good[rank]?.[0]}` };
}

async function checkPassage(running: Running, check: Check): Promise<void> {
  const { port } = running.place;
  const got = await ask(port, '/items', headersOf(running, 0));
  check('a good request gets the whole answer', got.status === 200 && got.text.length === 1024, summary(got));
  const sent = 'b'.repeat(1000);
  const posted = await ask(port, '/echo', headersOf(running, 0), sent);
  check('a body arrives whole', posted.status === 200 && echoOf(posted).body === sent, summary(posted));
}

async function checkTenant(running: Running, check: Check): Promise<void> {
  const { port } = running.place;
  const spoofed = { 'X-Tenant-Id': ['evil', 'worse'], 'x-tenant-tier': 'evil' };
  for (const rank of [0, 100, TENANTS - 1]) {
    const name = tenantName(rank);
    const right = await ask(port, `/t/${name}/items`, headersOf(running, rank));
    check(`${name} arrives as itself`, right.status === 200, summary(right));
    const wrong = await ask(port, `/t/${tenantName(rank + 1)}/items`, headersOf(running, rank));
    check(`${name} does not pass for another`, wrong.status === 421, summary(wrong));
    const forged = await ask(port, '/echo', { ...headersOf(running, rank), ...spoofed });
    const ids = valuesOf(echoOf(forged), 'x-tenant-id');
    check(`what ${name} forged is gone`, ids.length === 1 && ids[0] === name, summary(forged));
    check(`no tier ${name} chose itself`, !valuesOf(echoOf(forged), 'x-tenant-tier').includes('evil'), summary(forged));
  }
}

async function checkRefusals(running: Running, check: Check): Promise<void> {
  const { port, tokens } = running.place;
  const good = tokens.good[0]?.[0] as string;
  const parts = good.split('.') as [string, string, string];
  const none = Buffer.from('{"alg":"none","typ":"JWT"}').toString('base64url');
  const others = tokens.good[1]?.[0]?.split('.') as string[];
  const bad: Readonly<Record<string, string | undefined>> = {
    'no token': undefined,
    'a bad signature': `${parts[0]}.${parts[1]}.${flip(parts[2])}`,
    'the signature of another token': `${parts[0]}.${parts[1]}.${others[2]}`,
    'no signature': `${none}.${parts[1]}.`,
    'an expired token': tokens.expired,
  };
  for (const [what, token] of Object.entries(bad)) {
    const answer = await ask(port, '/items', token === undefined ? {} : { authorization: `Bearer ${token}` });
    check(`${what} is refused`, answer.status === 401 || answer.status === 403, summary(answer));
  }
}

/** A tenant that sends no load. What leaks back while the requests run is allowed for. */
async function checkLimit(running: Running, check: Check): Promise<void> {
  const { port } = running.place;
  const rank = TENANTS - 2;
  const { perSec } = tierOf(rank);
  const agent = new Agent({ keepAlive: true, maxSockets: 32 });
  const began = performance.now();
  const answers = await Promise.all(
    Array.from({ length: perSec * 4 }, () => ask(port, '/items', headersOf(running, rank), undefined, agent)),
  );
  const tookSec = (performance.now() - began) / 1000;
  agent.destroy();
  const admitted = answers.filter(({ status }) => status === 200).length;
  const saw = `${admitted} of ${answers.length} in ${tookSec.toFixed(2)} s`;
  check(
    'over the limit is refused, and only that',
    answers.every(({ status }) => status === 200 || status === 429) &&
      admitted >= perSec * 0.98 &&
      // One refill may have come at the end of a second that began before, in systems that refill at once.
      admitted <= perSec * (2 + tookSec) &&
      admitted < answers.length,
    saw,
  );
  const neighbour = await ask(port, '/items', headersOf(running, rank - 1));
  check('its neighbour does not notice', neighbour.status === 200, summary(neighbour));
}

async function checkMetrics({ system, place: { statusPort, job } }: Running, check: Check): Promise<void> {
  const got = await ask(statusPort, system.metricsPath, {});
  check('metrics can be read', got.status === 200 && /\d/.test(got.text), summary(got));
  if (isAtLeast(job.level, 'W5') && system.records !== 'sink')
    check('they show tenants', got.text.includes(tenantName(100)), summary(got));
}

/** Another character that still is base64url; the first, of which every bit counts. */
const flip = (signature: string): string => (signature[0] === 'A' ? 'B' : 'A') + signature.slice(1);

const summary = ({ status, text }: Answer): string => `${status} ${text.slice(0, 600)}`;

function echoOf({ status, text }: Answer): Echo {
  if (status !== 200) return { rawHeaders: [], body: '' };
  return JSON.parse(text) as Echo;
}

const valuesOf = ({ rawHeaders }: Echo, name: string): string[] =>
  rawHeaders.filter((_, at) => at % 2 === 1 && rawHeaders[at - 1]?.toLowerCase() === name);

function ask(port: number, path: string, headers: Headers, body?: string, agent?: Agent): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const asking = request(
      {
        host: '127.0.0.1',
        port,
        path,
        method: body === undefined ? 'GET' : 'POST',
        headers: headers as never,
        agent: agent ?? false,
      },
      (response) => {
        let text = '';
        response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
        response.on('end', () => resolve({ status: response.statusCode ?? 0, text }));
        response.on('error', reject);
      },
    );
    asking.on('error', reject);
    asking.end(body);
  });
}
