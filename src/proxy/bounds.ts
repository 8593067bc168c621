/** Bounds that both engines hold alike. */

/** A refused request's body up to this size is read to its end, so that the connection can be kept. */
export const DRAIN_BYTES_MAX: number = 64 * 1024;
/** How long, and how much of, a request that was answered early is still read: enough for what was under way. */
export const LINGER_MS = 1000;
export const LINGER_BYTES_MAX: number = 32 * 1024 * 1024;
/** Early hints passed on for one request: browsers read the first, and each is written without waiting for the client. */
export const HINTS_MAX = 8;
