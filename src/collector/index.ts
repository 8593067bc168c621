export type { ApiAnswer, ApiOptions, ApiRequest, ReadToken } from './api/answer.ts';
export { answerApi } from './api/api.ts';
export type { CollectorOptions } from './collector.ts';
export { Collector } from './collector.ts';
export { registerCollectorMetrics } from './collector-metrics.ts';
export { RollupThread } from './duck/rollup-thread.ts';
export type { RunningGrpcServer, TlsFiles } from './grpc-server.ts';
export { openGrpcServer } from './grpc-server.ts';
export { SegmentLedger } from './segment-ledger.ts';
