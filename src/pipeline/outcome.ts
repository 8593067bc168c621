// hot path
/** What became of an exchange. All are made here, with one hidden class: whoever looks at the rare ones unlearns nothing of the others. */
import type { Reply } from './reply.ts';

/**
 * - `forwarded`: the upstream's answer went out whole. - `replied`: a stage or the engine answered. - `kept`: an answer from before went out.
 * - `aborted`: a side broke off after the head of the response went out, or the client before it.
 */
export type Outcome =
  | { readonly kind: 'forwarded'; readonly status: number }
  | { readonly kind: 'kept'; readonly status: number }
  | {
      readonly kind: 'replied';
      readonly by: string;
      readonly reply: Reply;
      readonly status: number;
      /** Bytes of its content that go out. Ours, and no tenant's: `responseBytes` of the exchange has none of them. */
      readonly contentBytes: number;
    }
  | { readonly kind: 'aborted'; readonly side: Side; readonly status: number | undefined };

/** Who broke off; `drain`: this sidecar, which stops and had waited for as long as it may. */
export type Side = 'client' | 'upstream' | 'drain';

/** By status, which has three digits. */
const FORWARDED: (Outcome | undefined)[] = new Array(1000).fill(undefined);

function made(
  kind: Outcome['kind'],
  status: number | undefined,
  by: string | undefined,
  reply: Reply | undefined,
  side: Side | undefined,
  contentBytes = 0,
): Outcome {
  return Object.freeze({ kind, status, by, reply, side, contentBytes }) as Outcome;
}

export function forwarded(status: number): Outcome {
  return (FORWARDED[status] ??= made('forwarded', status, undefined, undefined, undefined));
}

export function kept(status: number): Outcome {
  return made('kept', status, undefined, undefined, undefined);
}

export function replied(by: string, reply: Reply, status: number, contentBytes: number): Outcome {
  return made('replied', status, by, reply, undefined, contentBytes);
}

export function aborted(side: Side, status: number | undefined): Outcome {
  return made('aborted', status, undefined, undefined, side);
}
