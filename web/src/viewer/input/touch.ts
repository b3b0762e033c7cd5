// Fingers to pointer and wheel: tap clicks, a drag drags, a long press is the right button, two fingers scroll, a
// two-finger tap is the right button too. Pure: times come in, acts go out.

export interface Finger {
  id: number;
  x: number;
  y: number;
}

export type TouchAct =
  | { act: 'move'; x: number; y: number; buttons: number }
  | { act: 'scroll'; x: number; y: number; dx: number; dy: number };

/** A finger that moved less than this is a tap or a long press (CSS pixels); a fingertip covers about 40. */
const slack = 10;
export const longPressAfter = 500;
const tapWithin = 350;

type Mode = 'idle' | 'one' | 'drag' | 'held' | 'two' | 'scroll' | 'done';

export class Touch {
  private mode: Mode = 'idle';
  private readonly fingers = new Map<number, { x0: number; y0: number; x: number; y: number }>();
  private since = 0;

  constructor(private readonly send: (act: TouchAct) => void) {}

  /** The engine calls `hold` at this time while one finger rests; null when there is nothing to wait for. */
  get holdAt(): number | null {
    return this.mode === 'one' ? this.since + longPressAfter : null;
  }

  down(f: Finger, now: number): void {
    this.fingers.set(f.id, { x0: f.x, y0: f.y, x: f.x, y: f.y });
    if (this.fingers.size === 1) {
      this.mode = 'one';
      this.since = now;
    } else if (this.fingers.size === 2 && this.mode === 'one') {
      this.mode = 'two';
    } else {
      if (this.mode === 'drag' || this.mode === 'held') this.letGo();
      this.mode = 'done';
    }
  }

  move(f: Finger): void {
    const finger = this.fingers.get(f.id);
    if (!finger) return;
    const dx = f.x - finger.x;
    const dy = f.y - finger.y;
    finger.x = f.x;
    finger.y = f.y;
    const far = Math.hypot(f.x - finger.x0, f.y - finger.y0) > slack;
    if (this.mode === 'one' && far) {
      this.mode = 'drag';
      this.send({ act: 'move', x: finger.x0, y: finger.y0, buttons: 0 });
      this.send({ act: 'move', x: finger.x0, y: finger.y0, buttons: 1 });
    }
    if (this.mode === 'drag') this.send({ act: 'move', x: f.x, y: f.y, buttons: 1 });
    if (this.mode === 'held') this.send({ act: 'move', x: f.x, y: f.y, buttons: 2 });
    if (this.mode === 'two' && far) this.mode = 'scroll';
    if (this.mode === 'scroll') {
      const at = this.middle();
      // The content follows the fingers; each of the two brings half of the way.
      this.send({ act: 'scroll', x: at.x, y: at.y, dx: -dx / 2, dy: -dy / 2 });
    }
  }

  up(f: Finger, now: number): void {
    if (!this.fingers.has(f.id)) return;
    const quick = now - this.since < tapWithin;
    const at = this.mode === 'two' ? this.middle() : f;
    this.fingers.delete(f.id);
    switch (this.mode) {
      case 'one':
        this.click(at.x, at.y, 1);
        break;
      case 'drag':
      case 'held':
        this.send({ act: 'move', x: f.x, y: f.y, buttons: 0 });
        break;
      case 'two':
        if (quick) this.click(at.x, at.y, 2);
        break;
    }
    this.mode = this.fingers.size === 0 ? 'idle' : 'done';
  }

  /** hold is the long press: the right button goes down where the finger rests. */
  hold(): void {
    if (this.mode !== 'one') return;
    const finger = [...this.fingers.values()][0];
    if (!finger) return;
    this.mode = 'held';
    this.send({ act: 'move', x: finger.x, y: finger.y, buttons: 0 });
    this.send({ act: 'move', x: finger.x, y: finger.y, buttons: 2 });
  }

  cancel(): void {
    if (this.mode === 'drag' || this.mode === 'held') this.letGo();
    this.fingers.clear();
    this.mode = 'idle';
  }

  private letGo(): void {
    const { x, y } = this.middle();
    this.send({ act: 'move', x, y, buttons: 0 });
  }

  private click(x: number, y: number, buttons: number): void {
    this.send({ act: 'move', x, y, buttons: 0 });
    this.send({ act: 'move', x, y, buttons });
    this.send({ act: 'move', x, y, buttons: 0 });
  }

  private middle(): { x: number; y: number } {
    const all = [...this.fingers.values()];
    const n = Math.max(1, all.length);
    return { x: all.reduce((s, f) => s + f.x, 0) / n, y: all.reduce((s, f) => s + f.y, 0) / n };
  }
}
