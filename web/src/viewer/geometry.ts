// Where the picture lies on the page, and which pixel of the desktop is under a point. Pure.
import type { Size } from './protocol';

/** How the desktop meets the tab: `match` asks the desktop to take the tab's size, `fit` scales the picture, `actual` shows pixel for pixel. */
export type Sizing = 'match' | 'fit' | 'actual';

export interface Box {
  left: number;
  top: number;
  width: number;
  height: number;
}

/** The desktop's own bounds (session.go). */
const least: Size = { width: 320, height: 240 };
const most: Size = { width: 3840, height: 2160 };

/** Chromium's windows are never narrower than this, on Linux: a smaller screen would only cut them off. */
const leastUseful = 500;

/** While the desktop takes on the tab's size it may lag by this many pixels without being scaled, so that text stays sharp. */
const nearly = 24;

/** place gives the picture's box in the stage, in CSS pixels. */
export function place(stage: Size, desktop: Size, sizing: Sizing): Box {
  if (desktop.width <= 0 || desktop.height <= 0)
    return { left: 0, top: 0, width: stage.width, height: stage.height };
  const fit = Math.min(stage.width / desktop.width, stage.height / desktop.height);
  const close =
    sizing === 'match' &&
    fit >= 1 &&
    stage.width - desktop.width < nearly &&
    stage.height - desktop.height < nearly;
  const scale = sizing === 'actual' || close ? 1 : fit;
  const width = Math.round(desktop.width * scale);
  const height = Math.round(desktop.height * scale);
  // A picture larger than the stage begins at its corner, so that scrolling reaches all of it.
  return {
    left: Math.max(0, Math.floor((stage.width - width) / 2)),
    top: Math.max(0, Math.floor((stage.height - height) / 2)),
    width,
    height,
  };
}

/** toDesktop gives the desktop's pixel under a point of the page; outside the picture, the nearest. */
export function toDesktop(x: number, y: number, picture: Box, desktop: Size): { x: number; y: number } {
  const clamp = (v: number, max: number) => Math.min(Math.max(Math.floor(v), 0), Math.max(0, max - 1));
  return {
    x: clamp(((x - picture.left) / Math.max(1, picture.width)) * desktop.width, desktop.width),
    y: clamp(((y - picture.top) / Math.max(1, picture.height)) * desktop.height, desktop.height),
  };
}

/**
 * wish gives the size to ask the desktop for: the stage's, even (codecs halve the colour planes) and within bounds. A
 * phone gets a desktop of its shape, large enough for a browser window, and sees it scaled.
 */
export function wish(stage: Size): Size {
  const scale = Math.max(1, leastUseful / Math.max(1, stage.width));
  const even = (v: number, lo: number, hi: number) => Math.min(Math.max(Math.floor(v * scale), lo), hi) & ~1;
  return {
    width: even(stage.width, least.width, most.width),
    height: even(stage.height, least.height, most.height),
  };
}
