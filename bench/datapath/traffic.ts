/** The requests of a job: credentials in one file, the order of their use in another. Generators read both. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { isAtLeast, type Job } from './job.ts';
import { drawRanks, seeded, TENANTS, tenantName } from './tenants.ts';
import type { Tokens } from './tokens.ts';

export interface Traffic {
  /** `TENANT CREDENTIAL`, one a line. */
  readonly credentialsFile: string;
  /** Line numbers of the other file, from 0. */
  readonly orderFile: string;
  /** The header that carries the credential; `-`: none. */
  readonly header: string;
  /** What stands before it; `-`: nothing. */
  readonly prefix: string;
}

/** Long enough that the 6,000 busiest tenants appear. */
const DRAWS = 100_000;

export function writeTraffic(dir: string, job: Job, tokens: Tokens): Traffic {
  const hasTokens = isAtLeast(job.level, 'W2');
  const each = job.tokensPerTenant;
  const lines: string[] = [];
  for (let rank = 0; rank < TENANTS; rank++)
    for (let number = 0; number < each; number++)
      lines.push(`${tenantName(rank)} ${hasTokens ? tokens.good[rank]?.[number] : tenantName(rank)}`);
  const random = seeded(2);
  const order = Array.from(drawRanks(DRAWS), (rank) => rank * each + Math.floor(random() * each));
  const name = `${job.level}-${job.algorithm}-${each}`;
  const credentialsFile = join(dir, `${name}.credentials`);
  const orderFile = join(dir, `${name}.order`);
  writeFileSync(credentialsFile, `${lines.join('\n')}\n`);
  writeFileSync(orderFile, `${order.join('\n')}\n`);
  const header = job.level === 'W0' ? '-' : hasTokens ? 'Authorization' : 'x-org';
  return { credentialsFile, orderFile, header, prefix: hasTokens ? 'Bearer' : '-' };
}
