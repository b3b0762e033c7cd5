// The part of the page that the engine draws on: a box with the picture in it, the element that takes input over it,
// and the hidden text field. Knows sizes and elements; nothing of connections.
import { place, type Box, type Sizing } from './geometry';
import type { Size } from './protocol';

export class Stage {
  readonly pad = document.createElement('div');
  readonly field = document.createElement('textarea');
  private readonly picture = document.createElement('div');
  private readonly observer: ResizeObserver;
  private pictureSize: Size = { width: 0, height: 0 };
  private sizing: Sizing = 'match';
  private shown: HTMLElement | null = null;

  constructor(
    readonly element: HTMLElement,
    onResize: (size: Size) => void,
  ) {
    this.picture.className = 'vt-picture';
    this.pad.className = 'vt-pad';
    this.field.className = 'vt-field';
    this.field.inputMode = 'none';
    const attributes = {
      autocapitalize: 'none',
      autocomplete: 'off',
      autocorrect: 'off',
      spellcheck: 'false',
    };
    for (const [name, value] of Object.entries(attributes)) this.field.setAttribute(name, value);
    this.field.setAttribute(
      'aria-label',
      'The desktop. Keys go to it; Ctrl+Alt+Shift+M moves to the toolbar.',
    );
    this.picture.append(this.pad);
    element.append(this.picture, this.field);
    this.observer = new ResizeObserver(() => {
      this.layout();
      onResize(this.size);
    });
    this.observer.observe(element);
  }

  get size(): Size {
    return { width: this.element.clientWidth, height: this.element.clientHeight };
  }

  /** The picture's box in coordinates of the page, scrolled or not. */
  get box(): Box {
    const { left, top, width, height } = this.picture.getBoundingClientRect();
    return { left, top, width, height };
  }

  setPicture(size: Size): void {
    if (size.width <= 0 || (size.width === this.pictureSize.width && size.height === this.pictureSize.height))
      return;
    this.pictureSize = size;
    this.layout();
  }

  setSizing(sizing: Sizing): void {
    this.sizing = sizing;
    this.element.classList.toggle('vt-scrolls', sizing === 'actual');
    this.layout();
  }

  /** add puts a surface behind what is shown: a video must be on the page to decode. */
  add(surface: HTMLElement): void {
    surface.classList.add('vt-waiting');
    this.picture.prepend(surface);
  }

  /** show brings a surface to the front and takes away the one before. */
  show(surface: HTMLElement): void {
    surface.classList.remove('vt-waiting', 'vt-stale');
    if (this.shown && this.shown !== surface) this.shown.remove();
    this.shown = surface;
  }

  shows(surface: HTMLElement): boolean {
    return surface === this.shown;
  }

  /** drop takes a surface away; the last picture on screen stays, dimmed, until there is a new one. */
  drop(surface: HTMLElement): void {
    if (surface === this.shown) surface.classList.add('vt-stale');
    else surface.remove();
  }

  clear(): void {
    this.shown?.remove();
    this.shown = null;
  }

  /** cursor shows the desktop's pointer; an empty image hides it. */
  cursor(png: string, x: number, y: number): void {
    this.pad.style.cursor = png === '' ? 'none' : `url(data:image/png;base64,${png}) ${x} ${y}, default`;
  }

  close(): void {
    this.observer.disconnect();
    this.picture.remove();
    this.field.remove();
  }

  private layout(): void {
    const box = place(this.size, this.pictureSize, this.sizing);
    Object.assign(this.picture.style, {
      left: `${box.left}px`,
      top: `${box.top}px`,
      width: `${box.width}px`,
      height: `${box.height}px`,
    });
  }
}
