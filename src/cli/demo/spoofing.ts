/** Attempts to be somebody else, on a bare socket: what became of each, and whom the application saw. */
import { connect } from 'node:net';
import type { Stage } from './stage.ts';

export interface Attempt {
  readonly what: string;
  readonly status: number;
  /** The tenant the application was told, or undefined when the request did not reach it. */
  readonly seenAs: string | undefined;
  readonly isHarmless: boolean;
}

/** The attacker's own tenant, and the one it wants to be. */
const SELF = 'hooli';
const VICTIM = 'acme';

export async function trySpoofing(stage: Stage): Promise<Attempt[]> {
  const orgOf = (name: string): string => stage.tenants.find((each) => each.name === name)?.org as string;
  const own = `Authorization: Bearer ${stage.credentials.token(orgOf(SELF))}`;
  const forms: readonly (readonly [string, string, string?])[] = [
    ['x-tenant-id: acme beside a good token', `${own}\r\nX-Tenant-Id: ${VICTIM}`],
    ['X_Tenant_Id: acme', `${own}\r\nX_Tenant_Id: ${VICTIM}`],
    ['x.tenant.id: acme, twice', `${own}\r\nx.tenant.id: ${VICTIM}\r\nX-TENANT-ID: ${VICTIM}`],
    ['Connection: x-tenant-id', `${own}\r\nConnection: x-tenant-id`],
    [
      'x-tenant-id in a trailer',
      `${own}\r\nTransfer-Encoding: chunked\r\nTrailer: X-Tenant-Id`,
      `0\r\nX-Tenant-Id: ${VICTIM}\r\n\r\n`,
    ],
    ['x-tenant-id without a credential', `X-Tenant-Id: ${VICTIM}`],
    ['a token with alg none', `Authorization: Bearer ${stage.credentials.unsigned(orgOf(VICTIM))}`],
    [
      'a token with another signature',
      `Authorization: Bearer ${stage.credentials.token(orgOf(VICTIM)).slice(0, -8)}AAAAAAAA`,
    ],
    ['an expired token', `Authorization: Bearer ${stage.credentials.token(orgOf(VICTIM), { exp: 1_600_000_000 })}`],
    ['a token of an unknown organisation', `Authorization: Bearer ${stage.credentials.token('org_0')}`],
    [`its own token on ${VICTIM}'s host`, `${own}\r\nHost: ${VICTIM}.app.example`],
    ['txn-token and x-reeve-tenant', `${own}\r\nTxn-Token: forged\r\nX-Reeve-Tenant: ${VICTIM}`],
  ];
  const attempts: Attempt[] = [];
  for (const [what, fields, body = ''] of forms) {
    const host = fields.includes('\r\nHost:') ? '' : 'Host: orders\r\n';
    const method = body === '' ? 'GET' : 'POST';
    const answer = await send(
      stage.orders.sidecar.inbound,
      `${method} /orders HTTP/1.1\r\n${host}${fields}\r\n${fields.includes('Connection:') ? '' : 'Connection: close\r\n'}\r\n${body}`,
    );
    const status = Number(answer.split(' ')[1] ?? 0);
    const seenAs = /"service":"orders","tenant":"([a-z]+)"/.exec(answer)?.[1];
    attempts.push({ what, status, seenAs, isHarmless: seenAs === undefined ? status >= 400 : seenAs === SELF });
  }
  return attempts;
}

function send(port: number, text: string): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => socket.write(text));
    let answer = '';
    socket.setTimeout(2000, () => socket.destroy());
    socket.on('data', (chunk: Buffer) => (answer += chunk.toString()));
    socket.on('error', () => {}).on('close', () => resolve(answer));
  });
}
