// Keys to the protocol's key messages. Keeps which keys are down, so that each is let go as the key it was pressed as
// (Shift may have changed in between) and none stays down. Pure: it sends through a function it is given.
import type { Input } from '../protocol';

export interface KeyLike {
  key: string;
  code: string;
  location?: number;
  repeat?: boolean;
  isComposing?: boolean;
  timeStamp?: number;
}

/** Windows presses a ControlLeft of its own just before AltGr. */
const altGrWithin = 50;

export class Keyboard {
  private readonly down = new Map<string, string>();
  private controlAt = -Infinity;

  constructor(
    private readonly send: (input: Input) => void,
    private readonly mac: boolean,
  ) {}

  /** press gives true when the key was taken, so that the browser shall not act on it. */
  press(e: KeyLike): boolean {
    // An input method or a dead key is at work: what comes of it arrives as text.
    if (e.isComposing || e.key === 'Process' || e.key === 'Unidentified' || e.key === 'Dead') return false;
    const { key, code } = this.translate(e);
    if (
      key === 'AltGraph' &&
      this.down.has('ControlLeft') &&
      (e.timeStamp ?? 0) - this.controlAt < altGrWithin
    ) {
      this.up('ControlLeft');
    }
    if (code === 'ControlLeft' && !e.repeat) this.controlAt = e.timeStamp ?? 0;
    if (e.repeat && modifiers.has(key)) return true;
    const name = code || key;
    this.down.set(name, key);
    this.send({ t: 'key', k: key, c: code, d: true });
    return true;
  }

  release(e: KeyLike): boolean {
    const { key, code } = this.translate(e);
    const was = this.up(code || key);
    // macOS says nothing of keys let go while Command is held.
    if (this.mac && e.key === 'Meta')
      for (const name of [...this.down.keys()]) if (!modifiers.has(this.down.get(name) ?? '')) this.up(name);
    return was;
  }

  /** tap presses and lets go, for keys that an on-screen keyboard only hints at. */
  tap(key: string, code: string): void {
    this.send({ t: 'key', k: key, c: code, d: true });
    this.send({ t: 'key', k: key, c: code, d: false });
  }

  /** releaseAll forgets what is down and tells the desktop to let go of everything. */
  releaseAll(): void {
    this.down.clear();
    this.send({ t: 'release' });
  }

  get held(): number {
    return this.down.size;
  }

  private up(name: string): boolean {
    const key = this.down.get(name);
    if (key === undefined) return false;
    this.down.delete(name);
    this.send({ t: 'key', k: key, c: name === key ? '' : name, d: false });
    return true;
  }

  /** On a Mac, Command does what Control does on the desktop: copy is Command+C for its user. */
  private translate(e: KeyLike): { key: string; code: string } {
    if (this.mac && e.key === 'Meta')
      return { key: 'Control', code: e.code === 'MetaRight' ? 'ControlRight' : 'ControlLeft' };
    return { key: e.key, code: e.code };
  }
}

const modifiers = new Set(['Control', 'Shift', 'Alt', 'AltGraph', 'Meta', 'CapsLock', 'NumLock']);

/** The keys that paste: the browser must be let to say what is on its clipboard before the desktop hears of them. */
export function pastes(
  e: KeyLike & { ctrlKey: boolean; metaKey: boolean; shiftKey: boolean; altKey: boolean },
  mac: boolean,
): boolean {
  if (e.altKey) return false;
  const command = mac ? e.metaKey : e.ctrlKey;
  if (command && e.key.toLowerCase() === 'v') return true;
  return e.key === 'Insert' && e.shiftKey && !e.ctrlKey && !e.metaKey;
}

/** The viewer's own shortcuts start with Ctrl+Alt+Shift: no program in the desktop is likely to want those. */
export function shortcut(e: KeyLike & { ctrlKey: boolean; altKey: boolean; shiftKey: boolean }): string {
  return e.ctrlKey && e.altKey && e.shiftKey && /^Key[A-Z]$/.test(e.code)
    ? e.code.slice(3).toLowerCase()
    : '';
}
