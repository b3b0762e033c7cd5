// Wheel and trackpad to the protocol's wheel steps: 120 a notch. Pure, but for the fraction it carries over.

const notch = 120;
/** Chromium and WebKit give a mouse wheel's notch as about 100 CSS pixels, Firefox as 3 lines. */
const pixelsPerNotch = 100;
const linesPerNotch = 3;
/** One event moves at most this far: a page of fast scrolling, not a flood. */
const most = 10 * notch;

export interface WheelLike {
  deltaX: number;
  deltaY: number;
  deltaMode: number;
}

/** Wheel sums what is less than a whole step, so that a slow trackpad scrolls too. */
export class Wheel {
  private restX = 0;
  private restY = 0;

  /** take gives whole steps, or null while there is less than one. */
  take(e: WheelLike): { dx: number; dy: number } | null {
    this.restX += steps(e.deltaX, e.deltaMode);
    this.restY += steps(e.deltaY, e.deltaMode);
    const dx = Math.trunc(this.restX);
    const dy = Math.trunc(this.restY);
    if (dx === 0 && dy === 0) return null;
    this.restX -= dx;
    this.restY -= dy;
    return { dx, dy };
  }
}

function steps(delta: number, mode: number): number {
  const unit = mode === 1 ? notch / linesPerNotch : mode === 2 ? notch * 5 : notch / pixelsPerNotch;
  return Math.min(Math.max(delta * unit, -most), most);
}
