// The daemon under test: its API, and the control program that e2e_test.go writes.
import { execFileSync } from 'node:child_process';
import { test as base, type Page } from '@playwright/test';

const env = (name: string): string => {
  const v = process.env[name];
  if (!v) throw new Error(`${name} is not set: run these tests with \`make test-e2e\``);
  return v;
};

export const url = env('VITRINE_E2E_URL');
export const loginLink = env('VITRINE_E2E_LOGIN');
const key = env('VITRINE_E2E_KEY');

/** ctl runs the control program: start, kill, stop, block, unblock, left. */
export function ctl(...args: string[]): string {
  return execFileSync(env('VITRINE_E2E_CTL'), args, { encoding: 'utf8' }).trim();
}

export interface Session {
  id: string;
  state: string;
  viewers: number;
  released: boolean;
}

export async function call<T>(method: string, path: string, body?: unknown): Promise<T> {
  const answer = await fetch(url + path, {
    method,
    headers: { Authorization: `Bearer ${key}`, 'Content-Type': 'application/json' },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const text = await answer.text();
  if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${text}`);
  return (text ? JSON.parse(text) : undefined) as T;
}

export const ticket = (id: string, scope: 'view' | 'control') =>
  call<{ id: string; url: string }>('POST', `/v1/sessions/${id}/tickets`, { scope, ttl_seconds: 300 });

/** enter logs a page in by a link of its own, and leaves it on the list of sessions. */
export async function enter(page: Page): Promise<void> {
  const link = await call<{ url: string }>('POST', '/v1/login-links', {});
  await page.goto(link.url);
  await page.getByRole('button', { name: 'New desktop' }).waitFor();
}

const data = (html: string) => `data:text/html;base64,${Buffer.from(html).toString('base64')}`;

/** A page that turns from black to white and back at each key. */
export const keyPage = data(`<!doctype html><title>keys</title><body style="margin:0;background:#000"><script>
let on=false;addEventListener('keydown',()=>{on=!on;document.body.style.background=on?'#fff':'#000'})</script>`);

/** A page whose colour is where it was clicked: red grows to the right, green downwards; blue is the button. */
export const clickPage =
  data(`<!doctype html><title>clicks</title><body style="margin:0;background:#000;height:100vh"><script>
addEventListener('contextmenu',e=>e.preventDefault());
addEventListener('mousedown',e=>{document.body.style.background=
'rgb('+Math.round(e.screenX/screen.width*255)+' '+Math.round(e.screenY/screen.height*255)+' '+(e.button*100)+')'})</script>`);

/** A page with a text field that turns white when the field holds the words. */
export const textPage = (words: string) =>
  data(`<!doctype html><meta charset=utf-8><title>text</title><body style="margin:0;background:#000"><textarea autofocus
style="position:absolute;left:0;top:0;width:50px;height:30px"></textarea><script>
const t=document.querySelector('textarea');t.focus();setInterval(()=>t.focus(),300);
t.addEventListener('input',()=>{document.body.style.background=t.value===${JSON.stringify(words)}?'#fff':'#300'})</script>`);

/** The test function, with desktops that are ended when the test is over. */
export const test = base.extend<{ desktop: (startURL?: string) => Promise<Session> }>({
  // eslint-disable-next-line no-empty-pattern
  desktop: async ({}, use) => {
    const made: string[] = [];
    await use(async (start_url) => {
      const wish = { kind: 'desktop', ...(start_url ? { start_url } : {}) };
      const s = await call<Session>('POST', '/v1/sessions?wait=true', wish);
      made.push(s.id);
      return s;
    });
    for (const id of made) await call('DELETE', `/v1/sessions/${id}?wait=true`);
  },
});

export { expect } from '@playwright/test';
