// Asks the desktop to take the tab's size: after a pause, and each size once.
import { wish } from './geometry';
import type { Size } from './protocol';

/** A tab being dragged to a size sends one wish, not hundreds; ms. */
const pause = 200;

export class Sizer {
  private timer = 0;
  private asked = '';

  constructor(private readonly ask: (width: number, height: number) => void) {}

  /** want asks for the size of the stage, unless the desktop has it or was asked for it before. */
  want(stage: Size, desktop: Size): void {
    clearTimeout(this.timer);
    if (stage.width === 0 || stage.height === 0) return;
    const { width, height } = wish(stage);
    const name = `${width}x${height}`;
    // A desktop that cannot take the size shall not be asked every second.
    if (name === this.asked || (width === desktop.width && height === desktop.height)) return;
    this.timer = window.setTimeout(() => {
      this.asked = name;
      this.ask(width, height);
    }, pause);
  }

  /** forget lets the same size be asked for again: another viewer may have changed it meanwhile. */
  forget(): void {
    this.asked = '';
  }

  close(): void {
    clearTimeout(this.timer);
  }
}
