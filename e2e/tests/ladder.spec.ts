import { ctl, enter, expect, keyPage, test } from './daemon';
import { dock, frames, isBlack, isWhite, live, viewer } from './viewer';

test.describe('with the media ports closed', () => {
  let closed = false;
  const open = () => {
    if (closed) ctl('unblock');
    closed = false;
  };
  test.beforeEach(() => {
    ctl('block');
    closed = true;
  });
  test.afterEach(() => open());

  test('noVNC comes by itself, says why, takes input, and WebRTC comes back', async ({ page, desktop }) => {
    const s = await desktop(keyPage);
    await enter(page);
    await page.goto(`/sessions/${s.id}?view=webrtc`);
    await live(page, /^novnc$/);
    await expect(viewer(page)).toHaveAttribute('data-why', /no media after 4 s|no way through/);
    await expect(page.getByText(/On noVNC/)).toBeVisible();
    await isBlack(page);
    await page.keyboard.press('a');
    await isWhite(page);
    await page.screenshot({ path: 'screenshots/novnc.png' });

    open();
    await live(page, /^(udp|tcp|turn)$/, 60_000);
    await expect(page.getByText(/Back on WebRTC/)).toBeVisible();
    await isWhite(page);
    await page.keyboard.press('b');
    await isBlack(page);
  });
});

test('media that dies goes over to noVNC and comes back', async ({ page, desktop }) => {
  const s = await desktop(keyPage);
  await enter(page);
  await page.goto(`/sessions/${s.id}?view=webrtc`);
  await live(page, /^(udp|tcp|turn)$/);
  ctl('block');
  try {
    await live(page, /^novnc$/, 40_000);
    await page.keyboard.press('a');
    await isWhite(page);
  } finally {
    ctl('unblock');
  }
  await live(page, /^(udp|tcp|turn)$/, 60_000);
  await isWhite(page);
});

test('noVNC by choice, and back', async ({ page, desktop }) => {
  const s = await desktop(keyPage);
  await enter(page);
  await page.goto(`/sessions/${s.id}`);
  await page.getByRole('link', { name: 'Use noVNC' }).click();
  await live(page, /^novnc$/);
  await page.keyboard.press('a');
  await isWhite(page);
  const bar = await dock(page);
  await bar.getByRole('button', { name: 'Connection' }).click();
  await page.getByRole('button', { name: 'Use WebRTC' }).click();
  await live(page, /^(udp|tcp|turn)$/);
  await frames(page, 1);
});

test('the daemon is killed and started again: the same desktop, without a reload', async ({
  page,
  desktop,
}) => {
  const s = await desktop(keyPage);
  await enter(page);
  await page.goto(`/sessions/${s.id}?view=webrtc`);
  await live(page, /^(udp|tcp|turn)$/);
  await page.keyboard.press('a');
  await isWhite(page);
  await page.evaluate(() => Object.assign(window, { sameTab: true }));

  ctl('kill');
  try {
    await expect(viewer(page)).toHaveAttribute('data-state', 'reconnecting');
    await expect(page.getByText(/connecting again|does not answer/)).toBeVisible();
  } finally {
    ctl('start');
  }
  await live(page, /^(udp|tcp|turn)$/, 60_000);
  await frames(page, 1);
  // The page in the desktop is as it was, and takes keys again.
  await isWhite(page);
  await expect(viewer(page)).toHaveAttribute('data-control', 'me');
  await page.keyboard.press('b');
  await isBlack(page);
  expect(await page.evaluate(() => 'sameTab' in window)).toBe(true);
});
