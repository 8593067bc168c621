export { ByteHeaders } from './byte-headers.ts';
export type { Life } from './caching.ts';
export {
  ageOf,
  CacheWish,
  FIELDS_OF_304,
  isUnchanged,
  lifeOf,
  mayKeepFor,
  PLACE_FIELDS,
  variationsOf,
} from './caching.ts';
export { CHUNK_ROOM, frameChunk, LAST_CHUNK } from './chunk-writer.ts';
export type { ChunkEvent } from './chunked-reader.ts';
export { ChunkedReader } from './chunked-reader.ts';
export { FieldTable } from './field-table.ts';
export type { Framing, GateRules, Passed, Refused, RequestHead } from './gate.ts';
export { gate, REFUSED_METHODS } from './gate.ts';
export { foldName, isToken, listMembers } from './grammar.ts';
export { HeadWriter } from './head-writer.ts';
export { HeaderList } from './header-list.ts';
export type { Headers } from './headers.ts';
export { mayTrail, stripHopByHop } from './hop-by-hop.ts';
export type { KnownName } from './known-fields.ts';
export { knownId, SUSPECT } from './known-fields.ts';
export type { RequestBounds, RequestVerdict } from './request-reader.ts';
export { RequestReader } from './request-reader.ts';
export type { ResponseFraming, ResponseVerdict } from './response-reader.ts';
export { RESPONSE_FIELDS_MAX, RESPONSE_HEAD_BYTES_MAX, ResponseReader } from './response-reader.ts';
export { Span } from './span.ts';
