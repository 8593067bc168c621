/** A client of a collector. Those of one address share a connection, as gRPC does it, where it is not encrypted. */
import { readFileSync } from 'node:fs';
import { type ChannelCredentials, Client, credentials, Metadata } from '@grpc/grpc-js';
import type { CollectorConfig } from '../tenants/index.ts';

/** A connection that says nothing is asked whether it is there, ms; without an answer it is closed. */
const KEEPALIVE_MS = 10_000;
const KEEPALIVE_TIMEOUT_MS = 5000;
/** Of one message from the collector: they are small. */
const RECEIVE_BYTES_MAX = 64 * 1024;

/** Files are read again by each, so what is renewed is used. Throws when one cannot be read. */
export function openClient({ address, tls, tokenFile }: CollectorConfig): {
  readonly client: Client;
  readonly metadata: Metadata;
} {
  const metadata = new Metadata();
  if (tokenFile !== undefined) metadata.set('authorization', `Bearer ${readFileSync(tokenFile, 'utf8').trim()}`);
  const client = new Client(address, credentialsOf(tls), {
    'grpc.keepalive_time_ms': KEEPALIVE_MS,
    'grpc.keepalive_timeout_ms': KEEPALIVE_TIMEOUT_MS,
    'grpc.keepalive_permit_without_calls': 1,
    'grpc.max_receive_message_length': RECEIVE_BYTES_MAX,
    // A retry is ours to make: what is told depends on what the collector then has.
    'grpc.enable_retries': 0,
  });
  return { client, metadata };
}

function credentialsOf(tls: CollectorConfig['tls']): ChannelCredentials {
  if (tls === undefined) return credentials.createInsecure();
  const read = (path: string | undefined): Buffer | null => (path === undefined ? null : readFileSync(path));
  return credentials.createSsl(read(tls.caFile), read(tls.keyFile), read(tls.certFile));
}
