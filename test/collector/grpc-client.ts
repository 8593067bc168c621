/** A sidecar's end of a stream, over real gRPC. */
import {
  type ChannelCredentials,
  Client,
  type ClientDuplexStream,
  credentials,
  Metadata,
  type ServiceError,
} from '@grpc/grpc-js';
import { type FromCollector, type FromSidecar, REPORT } from '../../src/metering/index.ts';

const serialize = (message: FromSidecar | Buffer): Buffer =>
  Buffer.isBuffer(message) ? message : REPORT.requestSerialize(message);

export class GrpcClient {
  readonly #client: Client;
  readonly #stream: ClientDuplexStream<FromSidecar, FromCollector>;
  readonly #heard: FromCollector['message'][] = [];
  #error: ServiceError | undefined;
  #isOver = false;
  #wake = (): void => {};

  constructor(port: number, o: { token?: string; tls?: ChannelCredentials } = {}) {
    const metadata = new Metadata();
    if (o.token !== undefined) metadata.set('authorization', `Bearer ${o.token}`);
    this.#client = new Client(`localhost:${port}`, o.tls ?? credentials.createInsecure());
    this.#stream = this.#client.makeBidiStreamRequest(REPORT.path, serialize, REPORT.responseDeserialize, metadata);
    this.#stream
      .on('data', ({ message }: FromCollector) => {
        if (message.case !== 'credit') this.#heard.push(message);
        this.#wake();
      })
      .on('error', (cause: ServiceError) => {
        this.#error = cause;
        this.#over();
      })
      .on('end', () => this.#over());
  }

  send(message: FromSidecar): void {
    this.#stream.write(message);
  }

  /** As they are. */
  sendBytes(bytes: Buffer): void {
    this.#stream.write(bytes as never);
  }

  /** The next word but credit; `over` with its status when there is none any more. */
  async next(): Promise<string> {
    while (this.#heard.length === 0 && !this.#isOver) await new Promise<void>((resolve) => (this.#wake = resolve));
    const message = this.#heard.shift();
    if (message === undefined) return `over ${this.#error?.code ?? 0}`;
    if (message.case === 'welcome' || message.case === 'ack')
      return `${message.case} ${message.value.epoch}:${message.value.seq}`;
    return `${message.case} ${(message.value as { reason: string }).reason}`;
  }

  close(): void {
    this.#stream.on('error', () => {}).cancel();
    this.#client.close();
  }

  #over(): void {
    this.#isOver = true;
    this.#wake();
  }
}
