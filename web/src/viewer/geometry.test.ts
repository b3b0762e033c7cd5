import { expect, test } from 'vitest';
import { place, toDesktop, wish } from './geometry';

const hd = { width: 1280, height: 720 };

test.each([
  ['a tab of the desktop’s size', hd, 'fit', { left: 0, top: 0, width: 1280, height: 720 }],
  [
    'a wider tab: bars at the sides',
    { width: 1600, height: 720 },
    'fit',
    { left: 160, top: 0, width: 1280, height: 720 },
  ],
  [
    'a phone: bars above and below',
    { width: 390, height: 844 },
    'fit',
    { left: 0, top: 312, width: 390, height: 219 },
  ],
  [
    'a large screen: scaled up',
    { width: 2560, height: 1440 },
    'fit',
    { left: 0, top: 0, width: 2560, height: 1440 },
  ],
  [
    'while matching, a few pixels are no reason to blur',
    { width: 1291, height: 725 },
    'match',
    { left: 5, top: 2, width: 1280, height: 720 },
  ],
  [
    'while matching, far off: scaled until the desktop follows',
    { width: 1600, height: 900 },
    'match',
    { left: 0, top: 0, width: 1600, height: 900 },
  ],
  [
    'pixel for pixel in a small tab begins at the corner',
    { width: 800, height: 600 },
    'actual',
    { left: 0, top: 0, width: 1280, height: 720 },
  ],
] as const)('%s', (_, stage, sizing, box) => {
  expect(place(stage, hd, sizing)).toEqual(box);
});

test('before the desktop’s size is known the picture is the stage', () => {
  expect(place(hd, { width: 0, height: 0 }, 'fit')).toEqual({ left: 0, top: 0, ...hd });
});

test('a click finds its pixel through scale, letterbox and scroll', () => {
  const box = { left: 100, top: -50, width: 640, height: 360 };
  expect(toDesktop(100, -50, box, hd)).toEqual({ x: 0, y: 0 });
  expect(toDesktop(420, 130, box, hd)).toEqual({ x: 640, y: 360 });
  expect(toDesktop(739.9, 309.9, box, hd)).toEqual({ x: 1279, y: 719 });
});

test('a drag out of the picture stays at its edge', () => {
  const box = { left: 0, top: 0, width: 1280, height: 720 };
  expect(toDesktop(-30, 5000, box, hd)).toEqual({ x: 0, y: 719 });
  expect(toDesktop(10, 10, { left: 0, top: 0, width: 0, height: 0 }, hd)).toEqual({ x: 1279, y: 719 });
});

test.each([
  ['an odd size becomes even', { width: 1281, height: 721 }, { width: 1280, height: 720 }],
  [
    'a phone asks for its shape, wide enough for a browser',
    { width: 390, height: 844 },
    { width: 500, height: 1082 },
  ],
  [
    'a flat sliver of a tab asks for the least height',
    { width: 800, height: 80 },
    { width: 800, height: 240 },
  ],
  ['a wall of screens asks for the most', { width: 9000, height: 3000 }, { width: 3840, height: 2160 }],
])('%s', (_, stage, size) => {
  expect(wish(stage)).toEqual(size);
});
