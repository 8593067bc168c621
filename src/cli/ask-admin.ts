/** Asks the admin API of a running sidecar. */
import { request } from 'undici';
import { ReeveError } from '../core/index.ts';

const TIMEOUT_MS = 5000;

/** The JSON of a page. Throws with the remedy when nobody answers, and with the sidecar's own words when it refuses. */
export async function askAdmin<T>(admin: string, path: string): Promise<T> {
  let answer: Awaited<ReturnType<typeof request>>;
  try {
    answer = await request(new URL(path, admin), { headersTimeout: TIMEOUT_MS, bodyTimeout: TIMEOUT_MS });
  } catch (cause) {
    throw new ReeveError(
      'unreachable',
      `no sidecar answers: ${(cause as NodeJS.ErrnoException).code ?? (cause as Error).message}`,
      { place: admin, remedy: 'start one, or name its admin port with --admin', cause },
    );
  }
  const body = (await answer.body.json()) as T & { detail?: string };
  if (answer.statusCode !== 200)
    throw new ReeveError('findings', body.detail ?? `the sidecar answered ${answer.statusCode}`, { place: path });
  return body;
}
