// The signal socket: one per viewer, kept open for as long as the viewer is. It opens itself again with a growing
// pause and the secret of the last hello, so that the viewer keeps its id and its control.
import { parse, type FromNode, type ToNode } from './protocol';

export interface SignalHandlers {
  message(m: FromNode): void;
  /** The socket is gone. `opened` says whether it had said hello. */
  down(opened: boolean): void;
  /** A figure for the person: the round trip of a ping, in ms. */
  rtt(ms: number): void;
}

/** Pauses between attempts, in ms, before ±20 % of chance; the last one repeats. */
export const pauses = [200, 400, 800, 1600, 3200, 5000] as const;
/** How often the viewer pings. The node's own pings (20 s) are invisible to a page. */
const pingEvery = 4000;
/** A socket that gave no answer for this long is dead, whatever TCP says (a sleeping laptop, a changed network). */
const deadAfter = 12000;

/** pause gives the wait before attempt n (from 0), with chance in 0…1. */
export function pause(n: number, chance: number): number {
  const base = pauses[Math.min(n, pauses.length - 1)] ?? 5000;
  return Math.round(base * (0.8 + 0.4 * chance));
}

export class Signal {
  private socket: WebSocket | null = null;
  private resume = '';
  private attempt = 0;
  private retryTimer = 0;
  private pingTimer = 0;
  private lastHeard = 0;
  private greeted = false;
  private closed = false;

  constructor(
    private readonly url: string,
    private readonly handlers: SignalHandlers,
  ) {
    addEventListener('online', this.hurry);
    document.addEventListener('visibilitychange', this.hurry);
    addEventListener('pagehide', this.leave);
    addEventListener('pageshow', this.hurry);
  }

  open(): void {
    if (this.closed || this.socket) return;
    const url = this.resume ? `${this.url}?resume=${encodeURIComponent(this.resume)}` : this.url;
    const socket = new WebSocket(url);
    this.socket = socket;
    this.greeted = false;
    socket.onmessage = (e: MessageEvent<unknown>) => {
      if (typeof e.data === 'string') this.receive(e.data);
    };
    socket.onclose = () => this.lost(socket);
    this.lastHeard = performance.now();
    clearInterval(this.pingTimer);
    this.pingTimer = window.setInterval(this.ping, pingEvery);
  }

  /** send drops what cannot be sent: everything that matters is said again after a hello. */
  send(m: ToNode): void {
    if (this.socket?.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(m));
  }

  get up(): boolean {
    return this.greeted && this.socket?.readyState === WebSocket.OPEN;
  }

  /** retry opens the socket again after the pause; the engine calls it when it knows that the session lives. */
  retry(): number {
    const wait = pause(this.attempt, Math.random());
    this.attempt++;
    clearTimeout(this.retryTimer);
    this.retryTimer = window.setTimeout(() => this.open(), wait);
    return wait;
  }

  close(): void {
    this.closed = true;
    removeEventListener('online', this.hurry);
    document.removeEventListener('visibilitychange', this.hurry);
    removeEventListener('pagehide', this.leave);
    removeEventListener('pageshow', this.hurry);
    clearTimeout(this.retryTimer);
    clearInterval(this.pingTimer);
    const socket = this.socket;
    this.socket = null;
    socket?.close(1000, 'left');
  }

  private receive(text: string): void {
    this.lastHeard = performance.now();
    const m = parse(text);
    if (!m) return;
    if (m.type === 'hello') {
      this.greeted = true;
      this.attempt = 0;
      this.resume = m.resume;
    }
    if (m.type === 'resume') {
      this.resume = m.resume;
      return;
    }
    if (m.type === 'pong') {
      this.handlers.rtt(Math.max(0, performance.now() - m.t));
      return;
    }
    this.handlers.message(m);
  }

  private lost(socket: WebSocket): void {
    if (this.socket !== socket) return;
    this.socket = null;
    clearInterval(this.pingTimer);
    if (!this.closed) this.handlers.down(this.greeted);
  }

  private readonly ping = () => {
    const socket = this.socket;
    if (!socket) return;
    if (performance.now() - this.lastHeard > deadAfter) {
      // close() alone waits for the other side, which is not there.
      socket.close();
      this.lost(socket);
      return;
    }
    this.send({ type: 'ping', t: Math.round(performance.now()) });
  };

  /** The tab closes or goes to another page: the others shall not wait for this viewer. */
  private readonly leave = () => this.socket?.close(1000, 'left');

  /** The network or the person came back: do not sit out the pause. */
  private readonly hurry = () => {
    if (document.visibilityState !== 'visible') return;
    if (this.socket) {
      this.ping();
    } else if (!this.closed && this.attempt > 0) {
      clearTimeout(this.retryTimer);
      this.open();
    }
  };
}
