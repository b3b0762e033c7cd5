// The other way to see the desktop: RFB over WebSocket, drawn by noVNC (MPL-2.0), which is loaded only when needed.
// It only draws: input goes the same way as with WebRTC, so keys, touch and input methods are the same on both.
import type RFB from '@novnc/novnc';

export interface VncHandlers {
  /** The first picture is there. */
  frame(): void;
  dead(): void;
}

export class Vnc {
  readonly element = document.createElement('div');
  private rfb: RFB | null = null;
  private closed = false;
  private shown = false;
  private draws = 0;

  constructor(
    private readonly url: string,
    private readonly handlers: VncHandlers,
  ) {
    this.element.className = 'vt-surface vt-vnc';
  }

  async start(): Promise<void> {
    try {
      const { default: Client } = await import('@novnc/novnc');
      if (this.isClosed()) return;
      const rfb = new Client(this.element, this.url, { wsProtocols: ['binary'], shared: true });
      this.rfb = rfb;
      rfb.viewOnly = true;
      rfb.focusOnClick = false;
      rfb.scaleViewport = true;
      rfb.background = 'transparent';
      rfb.addEventListener('connect', () => this.watch());
      rfb.addEventListener('disconnect', () => this.die());
      rfb.addEventListener('securityfailure', () => this.die());
    } catch {
      this.die();
    }
  }

  /** The picture's size in desktop pixels; 0 before the first. */
  get size(): { width: number; height: number } {
    const canvas = this.element.querySelector('canvas');
    return { width: canvas?.width ?? 0, height: canvas?.height ?? 0 };
  }

  /** How many times noVNC has put something new on the screen. */
  get frames(): number {
    return this.draws;
  }

  close(): void {
    if (this.closed) return;
    this.closed = true;
    this.rfb?.disconnect();
    this.rfb = null;
    this.element.remove();
  }

  /** noVNC tells nobody when it draws; every picture passes through drawImage of the visible canvas. */
  private watch(): void {
    const context = this.element.querySelector('canvas')?.getContext('2d');
    if (!context) return;
    const draw = context.drawImage.bind(context) as (...args: unknown[]) => void;
    context.drawImage = (...args: unknown[]) => {
      this.draws++;
      draw(...args);
      if (!this.shown && !this.closed) {
        this.shown = true;
        this.handlers.frame();
      }
    };
  }

  private isClosed(): boolean {
    return this.closed;
  }

  private die(): void {
    if (!this.closed) this.handlers.dead();
  }
}
