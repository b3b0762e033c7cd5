import { describe, expect, test } from 'vitest';
import type { Input } from '../protocol';
import { Keyboard, pastes, shortcut } from './keyboard';
import { chunks, edit } from './text';
import { Touch, type TouchAct } from './touch';
import { Wheel } from './wheel';

function keyboard(mac = false) {
  const sent: string[] = [];
  const k = new Keyboard(
    (i: Input) => sent.push(i.t === 'key' ? `${i.d ? '+' : '-'}${i.k}/${i.c}` : i.t),
    mac,
  );
  return { k, sent };
}

describe('keys', () => {
  test('a key is let go as what it was pressed as, though Shift went first', () => {
    const { k, sent } = keyboard();
    k.press({ key: 'Shift', code: 'ShiftLeft' });
    k.press({ key: 'A', code: 'KeyA' });
    k.release({ key: 'Shift', code: 'ShiftLeft' });
    k.release({ key: 'a', code: 'KeyA' });
    expect(sent).toEqual(['+Shift/ShiftLeft', '+A/KeyA', '-Shift/ShiftLeft', '-A/KeyA']);
    expect(k.held).toBe(0);
  });

  test('a key that was pressed elsewhere is not let go here', () => {
    const { k, sent } = keyboard();
    expect(k.release({ key: 'Enter', code: 'Enter' })).toBe(false);
    expect(sent).toEqual([]);
  });

  test('leaving the tab lets go of everything', () => {
    const { k, sent } = keyboard();
    k.press({ key: 'Alt', code: 'AltLeft' });
    k.releaseAll();
    k.release({ key: 'Alt', code: 'AltLeft' });
    expect(sent).toEqual(['+Alt/AltLeft', 'release']);
  });

  test('a held key repeats, a held modifier does not', () => {
    const { k, sent } = keyboard();
    k.press({ key: 'x', code: 'KeyX' });
    k.press({ key: 'x', code: 'KeyX', repeat: true });
    k.press({ key: 'Control', code: 'ControlLeft' });
    k.press({ key: 'Control', code: 'ControlLeft', repeat: true });
    expect(sent).toEqual(['+x/KeyX', '+x/KeyX', '+Control/ControlLeft']);
  });

  test('the Control that Windows adds to AltGr is taken back', () => {
    const { k, sent } = keyboard();
    k.press({ key: 'Control', code: 'ControlLeft', timeStamp: 1000 });
    k.press({ key: 'AltGraph', code: 'AltRight', timeStamp: 1001 });
    k.press({ key: '@', code: 'KeyQ', timeStamp: 1100 });
    expect(sent).toEqual(['+Control/ControlLeft', '-Control/ControlLeft', '+AltGraph/AltRight', '+@/KeyQ']);
  });

  test('a Control held before AltGr is meant', () => {
    const { k, sent } = keyboard();
    k.press({ key: 'Control', code: 'ControlLeft', timeStamp: 0 });
    k.press({ key: 'AltGraph', code: 'AltRight', timeStamp: 900 });
    expect(sent).toEqual(['+Control/ControlLeft', '+AltGraph/AltRight']);
  });

  test('on a Mac, Command is Control, and keys do not stick though macOS hides their release', () => {
    const { k, sent } = keyboard(true);
    k.press({ key: 'Meta', code: 'MetaLeft' });
    k.press({ key: 'c', code: 'KeyC' });
    k.release({ key: 'Meta', code: 'MetaLeft' });
    expect(sent).toEqual(['+Control/ControlLeft', '+c/KeyC', '-Control/ControlLeft', '-c/KeyC']);
  });

  test.each([
    ['composing', { key: 'a', code: 'KeyA', isComposing: true }],
    ['an input method at work', { key: 'Process', code: 'KeyA' }],
    ['a phone’s keyboard', { key: 'Unidentified', code: '' }],
    ['a dead key', { key: 'Dead', code: 'BracketLeft' }],
  ])('%s is left to the browser', (_, e) => {
    const { k, sent } = keyboard();
    expect(k.press(e)).toBe(false);
    expect(sent).toEqual([]);
  });

  const chord = { ctrlKey: false, metaKey: false, shiftKey: false, altKey: false };
  test.each([
    ['Ctrl V', { key: 'v', code: 'KeyV', ctrlKey: true }, false, true],
    ['Ctrl Shift V', { key: 'V', code: 'KeyV', ctrlKey: true, shiftKey: true }, false, true],
    ['Shift Insert', { key: 'Insert', code: 'Insert', shiftKey: true }, false, true],
    ['Command V on a Mac', { key: 'v', code: 'KeyV', metaKey: true }, true, true],
    ['Ctrl V on a Mac is no paste', { key: 'v', code: 'KeyV', ctrlKey: true }, true, false],
    ['a plain v', { key: 'v', code: 'KeyV' }, false, false],
    ['Ctrl Alt V', { key: 'v', code: 'KeyV', ctrlKey: true, altKey: true }, false, false],
  ])('%s', (_, e, mac, want) => {
    expect(pastes({ ...chord, ...e }, mac)).toBe(want);
  });

  test('the viewer keeps only Ctrl Alt Shift and a letter for itself', () => {
    const all = { ctrlKey: true, altKey: true, shiftKey: true };
    expect(shortcut({ key: 'F', code: 'KeyF', ...all })).toBe('f');
    expect(shortcut({ key: 'F1', code: 'F1', ...all })).toBe('');
    expect(shortcut({ key: 'f', code: 'KeyF', ...all, shiftKey: false })).toBe('');
  });
});

describe('text', () => {
  test.each([
    ['a word grows', 'hel', 'hello', { back: 0, insert: 'lo' }],
    ['a correction', 'teh', 'the', { back: 2, insert: 'he' }],
    ['pinyin becomes characters', 'nihao', '你好', { back: 5, insert: '你好' }],
    ['one emoji is one character', 'ok👍', 'ok', { back: 1, insert: '' }],
  ])('%s', (_, from, to, want) => {
    expect(edit(from, to)).toEqual(want);
  });

  test('long text goes in pieces that the node takes, never half a character', () => {
    const text = '界'.repeat(3000);
    const out = chunks(text, 4096);
    expect(out.join('')).toBe(text);
    for (const piece of out) expect(new TextEncoder().encode(piece).length).toBeLessThanOrEqual(4096);
    expect(chunks('', 10)).toEqual([]);
  });
});

describe('wheel', () => {
  test('a notch is 120, whatever the browser’s unit', () => {
    expect(new Wheel().take({ deltaX: 0, deltaY: 100, deltaMode: 0 })).toEqual({ dx: 0, dy: 120 });
    expect(new Wheel().take({ deltaX: 0, deltaY: 3, deltaMode: 1 })).toEqual({ dx: 0, dy: 120 });
  });

  test('a slow trackpad adds up', () => {
    const w = new Wheel();
    let sum = 0;
    for (let i = 0; i < 10; i++) sum += w.take({ deltaX: 0, deltaY: 0.5, deltaMode: 0 })?.dy ?? 0;
    // A fraction may still be waiting for the next event.
    expect(sum).toBeGreaterThanOrEqual(5);
  });

  test('a flood is cut', () => {
    expect(new Wheel().take({ deltaX: 0, deltaY: -1e9, deltaMode: 2 })?.dy).toBe(-1200);
  });
});

describe('fingers', () => {
  function hand() {
    const acts: TouchAct[] = [];
    return {
      t: new Touch((a) => acts.push(a)),
      acts,
      buttons: () => acts.map((a) => (a.act === 'move' ? a.buttons : 'scroll')),
    };
  }

  test('a tap is a click', () => {
    const { t, acts } = hand();
    t.down({ id: 1, x: 50, y: 60 }, 0);
    t.up({ id: 1, x: 52, y: 61 }, 80);
    expect(acts).toEqual([
      { act: 'move', x: 52, y: 61, buttons: 0 },
      { act: 'move', x: 52, y: 61, buttons: 1 },
      { act: 'move', x: 52, y: 61, buttons: 0 },
    ]);
  });

  test('a long press is the right button, and lets go with the finger', () => {
    const { t, buttons } = hand();
    t.down({ id: 1, x: 50, y: 60 }, 0);
    expect(t.holdAt).toBe(500);
    t.hold();
    t.up({ id: 1, x: 50, y: 60 }, 900);
    expect(buttons()).toEqual([0, 2, 0]);
    expect(t.holdAt).toBeNull();
  });

  test('a drag begins where the finger came down', () => {
    const { t, acts, buttons } = hand();
    t.down({ id: 1, x: 10, y: 10 }, 0);
    t.move({ id: 1, x: 15, y: 10 });
    expect(acts).toEqual([]);
    t.move({ id: 1, x: 40, y: 10 });
    t.up({ id: 1, x: 60, y: 10 }, 300);
    expect(acts[1]).toEqual({ act: 'move', x: 10, y: 10, buttons: 1 });
    expect(buttons()).toEqual([0, 1, 1, 0]);
  });

  test('two fingers scroll, and press nothing', () => {
    const { t, acts } = hand();
    t.down({ id: 1, x: 100, y: 100 }, 0);
    t.down({ id: 2, x: 140, y: 100 }, 10);
    t.move({ id: 1, x: 100, y: 60 });
    t.move({ id: 2, x: 140, y: 60 });
    t.up({ id: 1, x: 100, y: 60 }, 200);
    t.up({ id: 2, x: 140, y: 60 }, 210);
    const dy = acts.reduce((n, a) => n + (a.act === 'scroll' ? a.dy : 0), 0);
    expect(acts.every((a) => a.act === 'scroll')).toBe(true);
    expect(dy).toBe(40);
  });

  test('a two-finger tap is the right button', () => {
    const { t, buttons } = hand();
    t.down({ id: 1, x: 100, y: 100 }, 0);
    t.down({ id: 2, x: 140, y: 100 }, 10);
    t.up({ id: 2, x: 140, y: 100 }, 100);
    t.up({ id: 1, x: 100, y: 100 }, 110);
    expect(buttons()).toEqual([0, 2, 0]);
  });

  test('a third finger, or a call coming in, never leaves a button down', () => {
    const { t, buttons } = hand();
    t.down({ id: 1, x: 10, y: 10 }, 0);
    t.move({ id: 1, x: 90, y: 10 });
    t.down({ id: 2, x: 50, y: 50 }, 100);
    expect(buttons().at(-1)).toBe(0);
    t.cancel();
    t.down({ id: 3, x: 10, y: 10 }, 0);
    t.move({ id: 3, x: 90, y: 10 });
    t.cancel();
    expect(buttons().at(-1)).toBe(0);
  });
});
