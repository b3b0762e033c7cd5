// A whole desktop in a virtual machine whose processor is emulated (VITRINE_E2E_RUNTIME=qemu): minutes where the
// others take seconds, so it is told apart by its tag and run by `make test-all` only.
import { call, ctl, enter, expect, keyPage, test, type Session } from './daemon';
import { frames, isBlack, isWhite, live, viewer } from './viewer';

const minute = 60_000;

test('a desktop in an emulated machine paints, by WebRTC and by noVNC @emulated', async ({ page }) => {
  test.setTimeout(25 * minute);
  const wish = { kind: 'desktop', runtime: 'qemu', start_url: keyPage };
  let s = await call<Session & { failure?: { code: string; message: string } }>('POST', '/v1/sessions', wish);
  try {
    await expect
      .poll(
        async () => {
          s = await call('GET', `/v1/sessions/${s.id}`);
          return s.failure ? `${s.failure.code}: ${s.failure.message}` : s.state;
        },
        { timeout: 18 * minute, intervals: [2000] },
      )
      .toMatch(/^(ready|failed|ended|.*: .*)$/);
    expect(s.failure, JSON.stringify(s.failure)).toBeFalsy();
    expect(s.state).toBe('ready');

    await enter(page);
    await page.goto(`/sessions/${s.id}?view=webrtc`);
    await live(page, /^(udp|tcp|turn)$/, 2 * minute);
    expect(await frames(page, 2)).toEqual({ width: 1280, height: 720 });
    await isBlack(page, 3 * minute);
    await page.keyboard.press('a');
    await isWhite(page, 3 * minute);
    await page.screenshot({ path: 'screenshots/emulated-webrtc.png' });

    ctl('block');
    try {
      await live(page, /^novnc$/, 2 * minute);
      await expect(viewer(page)).toHaveAttribute('data-why', /.+/);
      await isWhite(page, 3 * minute);
      await page.keyboard.press('b');
      await isBlack(page, 3 * minute);
      await page.screenshot({ path: 'screenshots/emulated-novnc.png' });
    } finally {
      ctl('unblock');
    }
  } finally {
    await call('DELETE', `/v1/sessions/${s.id}?wait=true`);
  }
});
