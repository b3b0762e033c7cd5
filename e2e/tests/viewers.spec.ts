import { call, enter, expect, keyPage, test, ticket, type Session } from './daemon';
import { control, dock, isBlack, isWhite, live, viewer } from './viewer';

test('two viewers: one is in control, and hands it over', async ({ page, browser, desktop }) => {
  const s = await desktop(keyPage);
  await enter(page);
  await page.goto(`/sessions/${s.id}?view=webrtc&sizing=fit`);
  await live(page);
  await control(page, 'me');

  const guestContext = await browser.newContext();
  const guest = await guestContext.newPage();
  await guest.goto((await ticket(s.id, 'control')).url.replace('#', '?sizing=fit#'));
  await live(guest);
  expect(guest.url()).not.toContain('ticket');
  await control(guest, 'other');
  await isBlack(guest);

  // Who is not in control types into nothing.
  await guest.keyboard.press('a');
  await page.keyboard.press('b');
  await isWhite(page);
  await isWhite(guest);

  // The guest asks, the owner gives.
  await (await dock(guest)).getByRole('button', { name: /controls/ }).click();
  await guest.getByRole('button', { name: 'Ask for it' }).click();
  await page.getByRole('button', { name: 'Give control' }).click();
  await control(guest, 'me');
  await control(page, 'other');
  await guest.locator('.vt-field').focus();
  await guest.keyboard.press('c');
  await isBlack(page);

  // The owner takes it back without asking.
  await (await dock(page)).getByRole('button', { name: 'Take control' }).click();
  await control(page, 'me');
  await control(guest, 'other');
  expect((await call<Session>('GET', `/v1/sessions/${s.id}`)).viewers).toBe(2);

  // A viewer that reloads comes back by its cookie.
  await guest.reload();
  await live(guest);
  await guestContext.close();
  // A place is kept for 30 s for a viewer that may come back (docs/viewer-protocol.md).
  const viewers = async () => (await call<Session>('GET', `/v1/sessions/${s.id}`)).viewers;
  await expect.poll(viewers, { timeout: 45_000 }).toBe(1);
});

test('a link to watch only watches, and can be revoked', async ({ browser, desktop }) => {
  const s = await desktop(keyPage);
  const context = await browser.newContext();
  const page = await context.newPage();
  const t = await ticket(s.id, 'view');
  await page.goto(t.url);
  await live(page);
  await control(page, 'none');
  await (await dock(page)).getByRole('button', { name: 'Watching' }).click();
  await expect(page.getByText('Your link lets you watch.')).toBeVisible();
  await expect(page.getByRole('button', { name: 'Take control' })).toHaveCount(0);
  await expect(page.getByRole('button', { name: 'End', exact: true })).toHaveCount(0);

  // It is worth nothing to a second viewer.
  const other = await context.browser()!.newContext();
  const late = await other.newPage();
  await late.goto(t.url);
  await expect(late.getByText('No way in')).toBeVisible();
  await other.close();

  await call('DELETE', `/v1/sessions/${s.id}/tickets/${t.id}`);
  await expect(viewer(page)).toHaveAttribute('data-state', 'refused');
  await expect(page.getByText('This desktop is closed to you now')).toBeVisible();
  await context.close();
});

test('a link made on the page opens the desktop', async ({ page, browser, desktop }) => {
  const s = await desktop(keyPage);
  await enter(page);
  await page.goto(`/sessions/${s.id}?view=webrtc`);
  await live(page);
  await (await dock(page)).getByRole('button', { name: 'Share' }).click();
  await page.getByRole('button', { name: 'Link to watch' }).click();
  const link = await page.getByLabel('Link to view').inputValue();
  const context = await browser.newContext();
  const guest = await context.newPage();
  await guest.goto(link);
  await live(guest);
  await page.getByRole('button', { name: 'Revoke' }).click();
  await expect(viewer(guest)).toHaveAttribute('data-state', 'refused');
  await context.close();
});

test('a session that ends under a viewer says so', async ({ page, desktop }) => {
  const s = await desktop(keyPage);
  await page.goto((await ticket(s.id, 'control')).url);
  await live(page);
  await call('DELETE', `/v1/sessions/${s.id}`);
  await expect(page.getByText('Session ended')).toBeVisible();
  await expect(page.getByText('It was ended by hand.')).toBeVisible();
});
