import type { Engine } from '../viewer/engine';
import { PanelBox } from './PanelBox';

const keys: [string, string, string][] = [
  ['Esc', 'Escape', 'Escape'],
  ['Tab', 'Tab', 'Tab'],
  ['Enter', 'Enter', 'Enter'],
  ['⌫', 'Backspace', 'Backspace'],
  ['←', 'ArrowLeft', 'ArrowLeft'],
  ['↑', 'ArrowUp', 'ArrowUp'],
  ['↓', 'ArrowDown', 'ArrowDown'],
  ['→', 'ArrowRight', 'ArrowRight'],
  ['PgUp', 'PageUp', 'PageUp'],
  ['PgDn', 'PageDown', 'PageDown'],
];

/** For phones and tablets: their own keyboard, and the keys it lacks. */
export function KeysPanel({ engine }: { engine: Engine }) {
  return (
    <PanelBox title="Keyboard">
      <button className="btn btn-primary" onClick={() => engine.openKeyboard()}>
        Show the keyboard
      </button>
      <div className="keypad">
        {keys.map(([label, key, code]) => (
          <button key={key} className="btn btn-small" aria-label={key} onClick={() => engine.tap(key, code)}>
            {label}
          </button>
        ))}
      </div>
      <p className="muted small">Tap clicks, hold is the right button, two fingers scroll.</p>
    </PanelBox>
  );
}
