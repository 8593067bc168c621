// hot path
/** The Date field of our own answers (RFC 9110 §6.6.1), written anew once a second. */
import type { Clock } from '../core/index.ts';

export function httpDate(clock: Clock): () => string {
  let second = -1;
  let text = '';
  return () => {
    const now = Math.floor(clock.wallMs() / 1000);
    if (now !== second) {
      second = now;
      text = new Date(now * 1000).toUTCString();
    }
    return text;
  };
}
