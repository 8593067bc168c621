/** What the API is given and gives back, and what its pages share. */
import type { Collector } from '../collector.ts';
import type { Exporter, RollupStore } from '../rollups.ts';

/** What is sent back. `file`: its bytes are the body, and it is removed then. */
export interface ApiAnswer {
  readonly status: number;
  readonly contentType: string;
  readonly body: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly file?: string;
}

export interface ApiRequest {
  readonly method: string;
  readonly url: URL;
  readonly accept: string;
  readonly authorization: string | undefined;
}

/** One that may read; `tenant`: only what that one used. */
export interface ReadToken {
  readonly token: string;
  readonly tenant: string | undefined;
}

export interface ApiOptions {
  readonly version: string;
  readonly collector: Collector;
  readonly store: RollupStore & Exporter;
  readonly nowMs: () => number;
  readonly graceMs: number;
  readonly keepMinutesS: number;
  /** None: nobody is asked for one. */
  readonly tokens: () => readonly ReadToken[];
}

/** What a page is given. */
export interface Asking extends ApiOptions {
  readonly query: URLSearchParams;
  readonly path: Readonly<Record<string, string>>;
  readonly accept: string;
  /** Whose token it is asked with; undefined: one for all, or none is needed. */
  readonly tenant: string | undefined;
}

export const jsonAnswer = (value: unknown, status = 200): ApiAnswer => ({
  status,
  contentType: 'application/json',
  body: `${JSON.stringify(value, null, 2)}\n`,
});

export const problemAnswer = (status: number, code: string, detail: string): ApiAnswer => ({
  status,
  contentType: 'application/problem+json',
  body: `${JSON.stringify({ type: `https://reeve.dev/problems/${code}`, status, code, detail })}\n`,
});
