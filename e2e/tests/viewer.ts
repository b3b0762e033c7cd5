// What a test sees of a viewer: the data-* attributes that the page documents (web/src/viewer/snapshot.ts), and pixels.
import { expect, type Locator, type Page } from '@playwright/test';

export const viewer = (page: Page): Locator => page.locator('[data-vitrine-viewer]');

/** live waits until the desktop is on screen, and on a path if one is named. */
export async function live(page: Page, path?: RegExp, timeout = 30_000): Promise<void> {
  await expect(viewer(page)).toHaveAttribute('data-state', 'live', { timeout });
  if (path) await expect(viewer(page)).toHaveAttribute('data-path', path, { timeout });
}

export const control = (page: Page, who: 'me' | 'other' | 'none') =>
  expect(viewer(page)).toHaveAttribute('data-control', who);

/** frames waits for n more decoded frames, as the browser itself says. Gives the video's size. */
export function frames(page: Page, n: number): Promise<{ width: number; height: number }> {
  return page.evaluate(
    (wanted) =>
      new Promise<{ width: number; height: number }>((done) => {
        let seen = 0;
        let watched: HTMLVideoElement | null = null;
        // A new connection is a new element: the one on screen is looked for again and again.
        const timer = setInterval(() => {
          const video = document.querySelector<HTMLVideoElement>(
            'video.vt-surface:not(.vt-waiting, .vt-stale)',
          );
          if (!video || video === watched) return;
          watched = video;
          const frame = () => {
            if (video !== watched) return;
            if (++seen < wanted) video.requestVideoFrameCallback(frame);
            else {
              clearInterval(timer);
              done({ width: video.videoWidth, height: video.videoHeight });
            }
          };
          video.requestVideoFrameCallback(frame);
        }, 50);
      }),
    n,
  );
}

export type RGB = [number, number, number];

/** pixel gives the colour at a place of the picture (parts of its width and height), by whichever way it comes. */
export function pixel(page: Page, x = 0.5, y = 0.6): Promise<RGB> {
  return page.evaluate(
    ([px, py]) => {
      const surface =
        document.querySelector<HTMLVideoElement>('video.vt-surface:not(.vt-waiting)') ??
        document.querySelector<HTMLCanvasElement>('.vt-vnc:not(.vt-waiting) canvas');
      if (!surface) return [-1, -1, -1];
      const [w, h] =
        surface instanceof HTMLVideoElement
          ? [surface.videoWidth, surface.videoHeight]
          : [surface.width, surface.height];
      if (!w || !h) return [-1, -1, -1];
      const canvas = new OffscreenCanvas(1, 1);
      const g = canvas.getContext('2d');
      g?.drawImage(surface, Math.floor(w * px), Math.floor(h * py), 1, 1, 0, 0, 1, 1);
      return [...(g?.getImageData(0, 0, 1, 1).data ?? [])].slice(0, 3);
    },
    [x, y] as const,
  ) as Promise<RGB>;
}

export const isBlack = (page: Page, timeout = 20_000) =>
  expect.poll(async () => Math.max(...(await pixel(page))), { timeout }).toBeLessThan(60);
export const isWhite = (page: Page, timeout = 20_000) =>
  expect.poll(async () => Math.min(...(await pixel(page))), { timeout }).toBeGreaterThan(195);

/** dock brings the toolbar up. */
export async function dock(page: Page): Promise<Locator> {
  await page.keyboard.press('Control+Alt+Shift+M');
  return page.getByRole('toolbar', { name: 'Desktop' });
}

/** focus puts the keyboard back on the desktop, where a click does not matter. */
export const focus = (page: Page) => page.locator('.vt-field').focus();
