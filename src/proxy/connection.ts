// hot path
/**
 * One client connection: its requests are served one after the other, in their order. node:http parses ahead and would begin them all at once;
 * but behind a request that is refused for its framing nobody knows what the next bytes are, a pipelined request must not overtake an unsafe
 * one (RFC 9112 §9.3.2), and one connection must not hold more than one exchange.
 *
 *   parser ─▶ [ line ] ─▶ serving ─▶ over ─▶ next, or the end of the connection
 */
import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Reply } from '../pipeline/index.ts';
import { isAnswered } from './client-response.ts';
import { rescue } from './rescue.ts';

/** Requests that may stand in line; beyond them the socket is not read. What one read had in it is parsed all the same: 64 KiB. */
const LINE_MAX = 16;
/** A client that goes on sending would keep the half-closed connection for ever. */
const FAREWELL_MS = 1000;

interface Standing {
  start(): void;
  /** Undefined: the connection is handed over. */
  readonly res?: ServerResponse;
}

export class Connection {
  readonly #socket: Socket;
  readonly #date: () => string;
  readonly #line: Standing[] = [];
  #serving: ServerResponse | undefined;
  /** The answer to what could not be parsed, when all before it is answered. */
  #farewell: Reply | undefined;
  #isOver = false;

  constructor(socket: Socket, date: () => string) {
    this.#socket = socket;
    this.#date = date;
  }

  /** Runs `start` when everything before this response is over. Never, when the connection ends before. */
  serve(res: ServerResponse, start: () => void): void {
    this.#enter({
      res,
      start: () => {
        this.#serving = res;
        res.on('close', () => this.#next(res));
        start();
      },
    });
  }

  /** The connection stops being HTTP: nothing of it is served after `start`. */
  handOver(start: () => void): void {
    this.#enter({
      start: () => {
        this.#isOver = true;
        start();
      },
    });
  }

  /** The parser gave up. What was asked before is still answered; then this, and the end. */
  refuse(reply: Reply): void {
    if (this.#farewell !== undefined) return;
    this.#farewell = reply;
    const { _httpMessage: current } = this.#socket as Socket & { _httpMessage?: ServerResponse | null };
    if (current === undefined || current === null) this.#sayFarewell();
    else this.#endBroken(current);
  }

  /** If the parser gave up within its request: the answer is ours if it has none yet, else it was whole, or is cut. */
  #endBroken(res: ServerResponse): void {
    if (res.req.complete) return;
    if (!res.headersSent) this.#sayFarewell();
    else if (isAnswered(res)) res.end();
    else this.#socket.resetAndDestroy();
  }

  #enter(standing: Standing): void {
    if (this.#isOver || this.#socket.destroyed) return;
    if (this.#serving === undefined) return standing.start();
    this.#line.push(standing);
    if (this.#line.length >= LINE_MAX) this.#socket.pause();
  }

  #next(res: ServerResponse): void {
    this.#serving = undefined;
    if (!res.shouldKeepAlive || this.#socket.destroyed) this.#isOver = true;
    if (this.#isOver) return void (this.#line.length = 0);
    const next = this.#line.shift();
    if (this.#line.length < LINE_MAX && this.#socket.isPaused()) this.#socket.resume();
    next?.start();
    if (this.#farewell === undefined) return;
    if (next === undefined) this.#sayFarewell();
    else if (next.res !== undefined) this.#endBroken(next.res);
  }

  #sayFarewell(): void {
    this.#isOver = true;
    const { status, headers, body } = rescue(this.#farewell as Reply, false, { date: this.#date() });
    let head = `HTTP/1.1 ${status} \r\n`;
    for (let i = 0; i < headers.length; i += 2) head += `${headers[i]}: ${headers[i + 1]}\r\n`;
    this.#socket.end(`${head}Connection: close\r\n\r\n${body}`);
    this.#socket.setTimeout(FAREWELL_MS, () => this.#socket.destroy());
  }
}
