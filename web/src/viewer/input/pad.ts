// Binds the pure mappings of this directory to the page: one element over the picture that takes pointer, wheel and
// touch, and a hidden text field that has the focus, so that input methods and on-screen keyboards work.
import { maxClipboard, maxText, type Input, type Size } from '../protocol';
import { toDesktop, type Box } from '../geometry';
import { Keyboard, pastes, shortcut } from './keyboard';
import { chunks, edit } from './text';
import { Touch, type TouchAct } from './touch';
import { Wheel } from './wheel';

export interface PadHost {
  send(input: Input, fast: boolean): void;
  /** Whether this viewer's input counts now. */
  active(): boolean;
  /** Where the picture is, in coordinates of the page. */
  picture(): Box;
  desktop(): Size;
  /** One of the viewer's own shortcuts: Ctrl+Alt+Shift and a letter. */
  shortcut(letter: string): void;
}

/** With something before the caret, an on-screen keyboard has something to delete and says so. */
const filler = ' ';
/** A paste event comes within the key's default action; without one (no permission, nothing there) the key goes alone. */
const pasteWithin = 60;

export class Pad {
  private readonly keyboard: Keyboard;
  private readonly wheel = new Wheel();
  private readonly touch = new Touch((act) => this.touched(act));
  private readonly mac = /Mac|iPhone|iPad/.test(navigator.userAgent);
  private readonly off = new AbortController();
  private buttons = 0;
  private composed = '';
  private pasteTimer = 0;
  private holdTimer = 0;
  private paste: (() => void) | null = null;

  constructor(
    private readonly area: HTMLElement,
    private readonly field: HTMLTextAreaElement,
    private readonly host: PadHost,
  ) {
    this.keyboard = new Keyboard((input) => this.host.send(input, false), this.mac);
    this.field.value = filler;
    this.bind();
  }

  focus(): void {
    this.field.focus({ preventScroll: true });
  }

  /** Shows the on-screen keyboard, where the device has one; must be called within a tap. */
  openKeyboard(): void {
    this.field.blur();
    this.field.inputMode = 'text';
    this.focus();
  }

  releaseAll(): void {
    clearTimeout(this.pasteTimer);
    this.paste = null;
    this.buttons = 0;
    this.touch.cancel();
    this.keyboard.releaseAll();
  }

  text(s: string): void {
    for (const piece of chunks(s, maxText)) this.host.send({ t: 'text', s: piece }, false);
  }

  tap(key: string, code: string): void {
    if (this.host.active()) this.keyboard.tap(key, code);
  }

  close(): void {
    this.off.abort();
    clearTimeout(this.pasteTimer);
    clearTimeout(this.holdTimer);
  }

  private bind(): void {
    const options = { signal: this.off.signal };
    const area = <K extends keyof HTMLElementEventMap>(type: K, f: (e: HTMLElementEventMap[K]) => void) =>
      this.area.addEventListener(type, f, { ...options, passive: false });
    const field = <K extends keyof HTMLElementEventMap>(type: K, f: (e: HTMLElementEventMap[K]) => void) =>
      this.field.addEventListener(type, f, options);

    area('pointerdown', (e) => this.pointer(e));
    area('pointermove', (e) => this.pointer(e));
    area('pointerup', (e) => this.pointer(e));
    area('pointercancel', (e) => (e.pointerType === 'touch' ? this.touch.cancel() : this.releaseAll()));
    area('contextmenu', (e) => e.preventDefault());
    // A default of pointerdown's mouse event would take the focus away again.
    area('mousedown', (e) => e.preventDefault());
    area('wheel', (e) => this.wheeled(e));
    field('keydown', (e) => this.keydown(e));
    field('keyup', (e) => {
      if (this.keyboard.release(e)) e.preventDefault();
    });
    field('paste', (e) => this.pasted(e));
    field('beforeinput', (e) => this.beforeInput(e));
    field('compositionupdate', (e) => this.composing(e.data));
    field('compositionend', (e) => this.composedAll(e.data));
    field('input', () => {
      if (this.composed === '') this.field.value = filler;
    });
    field('blur', () => this.releaseAll());
    addEventListener('keydown', (e) => this.strayKey(e), options);
    addEventListener('blur', () => this.releaseAll(), options);
    document.addEventListener('visibilitychange', () => document.hidden && this.releaseAll(), options);
  }

  private pointer(e: PointerEvent): void {
    e.preventDefault();
    if (e.type === 'pointerdown') {
      this.area.setPointerCapture(e.pointerId);
      this.moveField(e.clientX, e.clientY);
      // Touching the picture must not bring up a phone's keyboard: that is what its button is for.
      if (e.pointerType !== 'touch') {
        this.field.inputMode = 'none';
        this.focus();
      }
    }
    if (!this.host.active()) return;
    if (e.pointerType === 'touch') {
      this.finger(e);
      return;
    }
    const still = e.type === 'pointermove' && e.buttons === 0 && this.buttons === 0;
    this.buttons = e.buttons;
    const at = this.at(e.clientX, e.clientY);
    // Only plain moves may overtake or be lost: a late one must not undo a press or a release.
    this.host.send({ t: 'pointer', ...at, b: e.buttons }, still);
  }

  private finger(e: PointerEvent): void {
    const finger = { id: e.pointerId, x: e.clientX, y: e.clientY };
    if (e.type === 'pointerdown') this.touch.down(finger, e.timeStamp);
    else if (e.type === 'pointermove') this.touch.move(finger);
    else this.touch.up(finger, e.timeStamp);
    clearTimeout(this.holdTimer);
    const at = this.touch.holdAt;
    if (at !== null) this.holdTimer = window.setTimeout(() => this.touch.hold(), at - e.timeStamp);
  }

  private touched(act: TouchAct): void {
    const at = this.at(act.x, act.y);
    if (act.act === 'move') {
      this.buttons = act.buttons;
      this.host.send({ t: 'pointer', ...at, b: act.buttons }, false);
      return;
    }
    const steps = this.wheel.take({ deltaX: act.dx, deltaY: act.dy, deltaMode: 0 });
    if (steps) this.host.send({ t: 'wheel', ...at, ...steps }, false);
  }

  private wheeled(e: WheelEvent): void {
    e.preventDefault();
    if (!this.host.active()) return;
    const steps = this.wheel.take(e);
    if (steps) this.host.send({ t: 'wheel', ...this.at(e.clientX, e.clientY), ...steps }, false);
  }

  private keydown(e: KeyboardEvent): void {
    const letter = shortcut(e);
    if (letter) {
      e.preventDefault();
      this.releaseAll();
      this.host.shortcut(letter);
      return;
    }
    if (!this.host.active()) return;
    if (pastes(e, this.mac) && !e.repeat) {
      // Not prevented: the browser now says what is on the clipboard, which needs no permission and no HTTPS.
      const { key, code, timeStamp } = e;
      this.paste = () => void this.keyboard.press({ key, code, timeStamp });
      this.pasteTimer = window.setTimeout(() => this.finishPaste(), pasteWithin);
      return;
    }
    if (this.keyboard.press(e)) e.preventDefault();
  }

  /** A button that had the focus is gone, or never had it: keys are meant for the desktop all the same. */
  private strayKey(e: KeyboardEvent): void {
    if (e.target === this.field) return;
    const letter = shortcut(e);
    if (letter) {
      e.preventDefault();
      this.host.shortcut(letter);
    } else if (e.target === document.body) {
      this.focus();
      this.keydown(e);
    }
  }

  private pasted(e: ClipboardEvent): void {
    e.preventDefault();
    const text = e.clipboardData?.getData('text/plain') ?? '';
    if (text && text.length <= maxClipboard) this.host.send({ t: 'clipboard', s: text }, false);
    this.finishPaste();
  }

  private finishPaste(): void {
    clearTimeout(this.pasteTimer);
    const press = this.paste;
    this.paste = null;
    press?.();
  }

  private beforeInput(e: InputEvent): void {
    if (!this.host.active() || e.isComposing) return;
    switch (e.inputType) {
      case 'insertText':
      case 'insertReplacementText':
        if (e.data) this.text(e.data);
        break;
      case 'insertLineBreak':
      case 'insertParagraph':
        this.keyboard.tap('Enter', 'Enter');
        break;
      case 'deleteContentBackward':
        this.keyboard.tap('Backspace', 'Backspace');
        break;
      case 'deleteContentForward':
        this.keyboard.tap('Delete', 'Delete');
        break;
      case 'insertCompositionText':
        return;
    }
    e.preventDefault();
  }

  /** A phone's keyboard composes whole words: they are shown as they grow, by taking back what changed. */
  private composing(text: string): void {
    if (this.field.inputMode !== 'text' || !this.host.active()) return;
    const { back, insert } = edit(this.composed, text);
    for (let i = 0; i < back; i++) this.keyboard.tap('Backspace', 'Backspace');
    if (insert) this.text(insert);
    this.composed = text;
  }

  private composedAll(text: string): void {
    if (this.field.inputMode === 'text') this.composing(text);
    else if (text && this.host.active()) this.text(text);
    this.composed = '';
    this.field.value = filler;
  }

  private at(x: number, y: number): { x: number; y: number } {
    return toDesktop(x, y, this.host.picture(), this.host.desktop());
  }

  /** An input method shows its candidates at the field: it follows the last click. */
  private moveField(x: number, y: number): void {
    this.field.style.left = `${Math.round(x)}px`;
    this.field.style.top = `${Math.round(y)}px`;
  }
}
