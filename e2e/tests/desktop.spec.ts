import {
  call,
  clickPage,
  ctl,
  enter,
  expect,
  keyPage,
  loginLink,
  test,
  textPage,
  type Session,
} from './daemon';
import { dock, frames, isBlack, isWhite, live, pixel, viewer } from './viewer';

test('the main job: log in by the link, one click, a desktop, gone without a trace', async ({ page }) => {
  await page.goto(loginLink);
  await expect(page).toHaveURL(/\/$/);
  expect(page.url()).not.toContain('#');

  await page.getByRole('button', { name: 'New desktop' }).click();
  await expect(page).toHaveURL(/\/sessions\/ses_/);
  await expect(page.locator('[data-boot=going]')).toBeVisible();
  await expect(page.locator('[data-phase=browser]')).toBeVisible();

  await live(page, /^(udp|tcp|turn)$/, 60_000);
  const size = await frames(page, 2);
  expect(size.width).toBeGreaterThanOrEqual(320);
  await page.screenshot({ path: 'screenshots/desktop.png' });

  const bar = await dock(page);
  await bar.getByRole('button', { name: 'End', exact: true }).click();
  await bar.getByRole('button', { name: 'End it?' }).click();
  await expect(page.getByText('Session ended')).toBeVisible();
  await expect(page.locator('[data-ended=stopped_by_user]')).toBeVisible();

  const id = /ses_[0-9a-z]+/.exec(page.url())?.[0] ?? '';
  await call('DELETE', `/v1/sessions/${id}?wait=true`);
  expect(ctl('left')).toBe('');
});

test('the link of a login works once', async ({ page }) => {
  await page.goto(loginLink);
  await expect(page.getByRole('alert')).toBeVisible();
  await expect(page.getByText('vitrine login-link').first()).toBeVisible();
});

test('without a login the page says how to get in', async ({ page }) => {
  await page.goto('/');
  await expect(page).toHaveURL(/\/login$/);
  await expect(page.getByText('vitrine login-link')).toBeVisible();
});

test('a typed key changes the pixels of the page', async ({ page, desktop }) => {
  const s = await desktop(keyPage);
  await enter(page);
  await page.goto(`/sessions/${s.id}?view=webrtc`);
  await live(page, /^(udp|tcp|turn)$/);
  await isBlack(page);
  await page.keyboard.press('a');
  await isWhite(page);
  await page.keyboard.press('Shift+B');
  await page.keyboard.press('ArrowLeft');
  // Shift, B and the arrow: three keys down.
  await isBlack(page);
  await expect(viewer(page)).toHaveAttribute('data-codec', /^(VP8|H264)$/);
});

test('a click lands where it was made, with its button', async ({ page, desktop }) => {
  const s = await desktop(clickPage);
  await enter(page);
  await page.goto(`/sessions/${s.id}?view=webrtc&sizing=fit`);
  await live(page, /^(udp|tcp|turn)$/);
  const near = (red: number, green: number, blue: number) =>
    expect
      .poll(
        async () => {
          const [r, g, b] = await pixel(page, 0.5, 0.5);
          return Math.abs(r - red) < 14 && Math.abs(g - green) < 14 && Math.abs(b - blue) < 20;
        },
        { message: `the page is not rgb(${red} ${green} ${blue})` },
      )
      .toBe(true);
  await page.mouse.click(320, 360);
  await near(64, 128, 0);
  await page.mouse.click(960, 540, { button: 'right' });
  await near(191, 191, 200);
  // In a smaller tab the picture is scaled and letterboxed; the same desktop pixel is elsewhere.
  await page.setViewportSize({ width: 800, height: 720 });
  await expect.poll(async () => (await page.locator('.vt-picture').boundingBox())?.width).toBe(800);
  await page.mouse.click(200, 135 + 225);
  await near(64, 128, 0);
});

test('text is pasted, and typed by an input method', async ({ page, context, desktop }) => {
  const words = 'Grüße, 世界 🙂';
  const s = await desktop(textPage(words + '!'));
  await context.grantPermissions(['clipboard-read', 'clipboard-write']);
  await enter(page);
  await page.goto(`/sessions/${s.id}?view=webrtc`);
  await live(page);
  await page.evaluate((t) => navigator.clipboard.writeText(t), words);
  await page.keyboard.press('Control+V');
  await expect.poll(() => pixel(page).then((p) => p[0])).toBeGreaterThan(20);
  // As an input method commits it: no key, only text.
  await page.keyboard.insertText('!');
  await isWhite(page);
  // And what is copied in the desktop reaches this clipboard.
  await page.evaluate(() => navigator.clipboard.writeText(''));
  await page.keyboard.press('Control+A');
  await page.keyboard.press('Control+C');
  await expect.poll(() => page.evaluate(() => navigator.clipboard.readText())).toBe(words + '!');
});

test('the desktop takes the size of the tab', async ({ page, desktop }) => {
  const s = await desktop(keyPage);
  await enter(page);
  await page.goto(`/sessions/${s.id}?view=webrtc`);
  await live(page);
  for (const size of [
    { width: 1000, height: 640 },
    { width: 1280, height: 720 },
  ]) {
    await page.setViewportSize(size);
    await expect(viewer(page)).toHaveAttribute('data-width', String(size.width));
    await expect(viewer(page)).toHaveAttribute('data-height', String(size.height));
    await expect
      .poll(() =>
        page.evaluate(() => document.querySelector<HTMLVideoElement>('video.vt-surface')?.videoWidth),
      )
      .toBe(size.width);
    const now = await call<Session & { viewport: { width: number } }>('GET', `/v1/sessions/${s.id}`);
    expect(now.state).toBe('ready');
  }
});

test('a wish that cannot be met is refused in words', async ({ page }) => {
  await enter(page);
  await page.getByRole('button', { name: 'Options' }).click();
  await page.getByLabel('Memory, MiB').fill('64');
  await page.getByRole('button', { name: 'New desktop' }).click();
  const problem = page.getByRole('alert');
  await expect(problem).toContainText('memory_below_minimum');
  await expect(problem).toContainText('64');
});

test('at the width of a phone', async ({ browser, desktop }) => {
  const s = await desktop(keyPage);
  const context = await browser.newContext({
    viewport: { width: 390, height: 844 },
    isMobile: true,
    hasTouch: true,
  });
  const page = await context.newPage();
  await enter(page);
  const wider = () => page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  await page
    .getByRole('heading', { name: /^Desktop/ })
    .first()
    .waitFor();
  expect(await wider()).toBe(0);
  await page.screenshot({ path: 'screenshots/phone-list.png' });
  await page.goto(`/sessions/${s.id}`);
  await expect(page.getByText('VM Ready')).toBeVisible();
  expect(await wider()).toBe(0);
  await page.screenshot({ path: 'screenshots/phone-session.png' });
  await page.getByRole('link', { name: 'Open VM Desktop (WebRTC)' }).click();
  await live(page);
  // The phone's shape, but wide enough for a Chromium window.
  await expect(viewer(page)).toHaveAttribute('data-width', '500');
  await isBlack(page);
  await page.screenshot({ path: 'screenshots/phone-desktop.png' });
  await context.close();
});
