import { QueryClient, QueryClientProvider } from '@tanstack/react-query';
import { RouterProvider } from '@tanstack/react-router';
import { render, screen, waitFor, within } from '@testing-library/react';
import userEvent from '@testing-library/user-event';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { makeRouter } from '../router';
import { session } from '../sessions/fixture';

// A daemon of a few routes: [method and path] → status and body.
let routes: Record<string, [number, unknown]>;
let calls: { call: string; body: unknown; headers: Headers }[];

class Silent extends EventTarget {
  static readonly CLOSED = 2;
  readyState = 0;
  close() {
    this.readyState = 2;
  }
}

beforeEach(() => {
  calls = [];
  routes = {
    'GET /v1/me': [200, { user_id: 'admin', role: 'admin' }],
    'GET /v1/sessions': [200, { sessions: [], next_cursor: null }],
  };
  vi.stubGlobal('EventSource', Silent);
  vi.stubGlobal('scrollTo', () => undefined);
  vi.stubGlobal('fetch', (url: string, init: RequestInit) => {
    const call = `${init.method ?? 'GET'} ${url.split('?')[0] ?? ''}`;
    calls.push({
      call,
      body: init.body ? JSON.parse(init.body as string) : null,
      headers: new Headers(init.headers),
    });
    const no = {
      error: {
        code: 'not_found',
        message: 'there is no such thing',
        remedy: '',
        retryable: false,
        request_id: 'req_1',
      },
    };
    const [status, body] = routes[call] ?? [404, no];
    return Promise.resolve(new Response(body === null ? null : JSON.stringify(body), { status }));
  });
});
afterEach(() => vi.unstubAllGlobals());

function open(path: string) {
  history.replaceState(null, '', path);
  const client = new QueryClient({ defaultOptions: { queries: { retry: false } } });
  render(
    <QueryClientProvider client={client}>
      <RouterProvider router={makeRouter(client)} />
    </QueryClientProvider>,
  );
}

test('without a login every page leads to the door, which says what to type', async () => {
  routes['GET /v1/me'] = [
    401,
    { error: { code: 'unauthorized', message: 'log in', remedy: '', retryable: false, request_id: '' } },
  ];
  open('/');
  expect(await screen.findByText('vitrine login-link')).toBeTruthy();
  expect(location.pathname).toBe('/login');
});

test('a login link is turned in once, and leaves no token in the address', async () => {
  routes['POST /v1/login'] = [200, { user_id: 'admin', role: 'admin' }];
  open('/login#secret');
  expect(await screen.findByRole('button', { name: /New desktop/ })).toBeTruthy();
  expect(calls.filter((c) => c.call === 'POST /v1/login').map((c) => c.body)).toEqual([{ token: 'secret' }]);
  expect(location.href).not.toContain('secret');
});

test('the host’s report puts what fails first, with what to type', async () => {
  routes['GET /v1/host/doctor'] = [
    200,
    {
      at: new Date().toISOString(),
      verdict: 'fail',
      findings: [
        { check: 'user', result: 'pass', detail: 'root' },
        {
          check: 'nftables',
          result: 'fail',
          detail: 'nft is not on PATH',
          remedy: 'apt-get install nftables',
        },
      ],
    },
  ];
  open('/host');
  const list = await screen.findByRole('list', { name: 'Checks of the host' });
  const rows = within(list).getAllByRole('listitem');
  expect(rows[0]?.textContent).toContain('nftables');
  expect(rows[0]?.textContent).toContain('apt-get install nftables');
  expect(rows[1]?.textContent).not.toContain('What helps');
  expect(screen.getByText(/1 fails, 1 passes/)).toBeTruthy();
  const before = calls.filter((c) => c.call === 'GET /v1/host/doctor').length;
  await userEvent.click(screen.getByRole('button', { name: 'Check again' }));
  await waitFor(() => expect(calls.filter((c) => c.call === 'GET /v1/host/doctor').length).toBe(before + 1));
});

test('a used link says so in the daemon’s words', async () => {
  routes['POST /v1/login'] = [
    401,
    {
      error: {
        code: 'bad_token',
        message: 'this link was used already',
        remedy: 'make another: `vitrine login-link`',
        retryable: false,
        request_id: '',
      },
    },
  ];
  open('/login#used');
  expect(await screen.findByText(/this link was used already/)).toBeTruthy();
});

test('an empty list invites', async () => {
  open('/');
  expect(await screen.findByText('Nothing on show yet')).toBeTruthy();
});

test('one click makes a desktop and goes to its timeline, with a key for a safe retry', async () => {
  const s = session({ state: 'starting' });
  routes['POST /v1/sessions'] = [202, s];
  routes[`GET /v1/sessions/${s.id}`] = [200, s];
  routes[`GET /v1/sessions/${s.id}/boot`] = [
    200,
    { session_id: s.id, phases: [], total_ms: 0, failure: null },
  ];
  open('/');
  await userEvent.click(await screen.findByRole('button', { name: /New desktop/ }));
  expect(await screen.findByText('The desktop opens by itself when it is there.')).toBeTruthy();
  const made = calls.find((c) => c.call === 'POST /v1/sessions');
  expect(made?.body).toEqual({ kind: 'desktop' });
  expect(made?.headers.get('Idempotency-Key')).toMatch(/^web-/);
});

test('the key N does the same; typing an n into the filter does not', async () => {
  routes['GET /v1/sessions'] = [
    200,
    { sessions: [session({ state: 'ended', ended_reason: 'idle' })], next_cursor: null },
  ];
  open('/');
  const filter = await screen.findByRole('searchbox');
  await userEvent.type(filter, 'n');
  expect(calls.some((c) => c.call === 'POST /v1/sessions')).toBe(false);
  await userEvent.keyboard('{Escape}n');
  await waitFor(() => expect(calls.some((c) => c.call === 'POST /v1/sessions')).toBe(true));
});

test('a refusal is shown with its code and remedy', async () => {
  routes['POST /v1/sessions'] = [
    422,
    {
      error: {
        code: 'memory_below_minimum',
        message: '64 MiB asked, 512 MiB needed',
        remedy: 'ask for at least 512',
        retryable: false,
        request_id: 'req_7',
      },
    },
  ];
  open('/');
  await userEvent.click(await screen.findByRole('button', { name: /New desktop/ }));
  const alert = await screen.findByRole('alert');
  expect(within(alert).getByText(/64 MiB asked, 512 MiB needed/)).toBeTruthy();
  expect(within(alert).getByText('memory_below_minimum')).toBeTruthy();
});

test('on a full host one can wait for room, and sees where one stands', async () => {
  const no = {
    code: 'host_no_capacity',
    message: '2048 MiB of memory asked for, but 6144 of 7168 are held',
    remedy: 'end a session',
    retryable: true,
    request_id: 'req_8',
  };
  routes['POST /v1/sessions'] = [503, { error: no }];
  open('/');
  await userEvent.click(await screen.findByRole('button', { name: /New desktop/ }));
  const wait = await screen.findByRole('button', { name: 'Wait for room' });
  const s = session({ state: 'pending', queue: { position: 2, deadline: '2026-01-01T00:10:00Z' } });
  routes['POST /v1/sessions'] = [202, s];
  routes[`GET /v1/sessions/${s.id}`] = [200, s];
  await userEvent.click(wait);
  expect(await screen.findByText('Place 2 in the queue')).toBeTruthy();
  expect(calls.filter((c) => c.call === 'POST /v1/sessions').map((c) => c.body)).toEqual([
    { kind: 'desktop' },
    { kind: 'desktop', queue_seconds: 600 },
  ]);
});

test('what the host can never hold is not offered a wait', async () => {
  const no = { code: 'host_no_capacity', message: 'too much', remedy: 'ask for less', request_id: 'req_9' };
  routes['POST /v1/sessions'] = [503, { error: { ...no, retryable: false } }];
  open('/');
  await userEvent.click(await screen.findByRole('button', { name: /New desktop/ }));
  expect(await screen.findByText(/too much/)).toBeTruthy();
  expect(screen.queryByRole('button', { name: 'Wait for room' })).toBeNull();
});

test('a failed session shows code, evidence, remedy and ledger, and offers a retry only if one can help', async () => {
  const failure = {
    code: 'guest_oom' as const,
    phase: 'browser' as const,
    message: 'out of memory',
    remedy: 'give it more',
    retryable: false,
    evidence: ['Killed process 84 (chromium)'],
  };
  const bundle = { size_bytes: 300_000, created_at: '2026-01-01T00:00:01Z' };
  const s = session({ state: 'failed', failure, bundle });
  routes[`GET /v1/sessions/${s.id}`] = [200, s];
  routes[`GET /v1/sessions/${s.id}/boot`] = [
    200,
    {
      session_id: s.id,
      total_ms: 5,
      failure,
      phases: [{ name: 'browser', started_at: s.created_at, duration_ms: 5, outcome: 'failed', detail: '' }],
    },
  ];
  open(`/sessions/${s.id}`);
  expect(await screen.findByText('Killed process 84 (chromium)')).toBeTruthy();
  expect(screen.getByText('guest_oom')).toBeTruthy();
  expect(await screen.findByText('until it failed')).toBeTruthy();
  expect(screen.queryByRole('button', { name: 'Try again' })).toBeNull();
  const link = screen.getByRole('link', { name: 'Download bundle (293 KiB)' });
  expect(link.getAttribute('href')).toBe(`/v1/sessions/${s.id}/bundle`);
  expect(screen.getByText('This code means: the machine ran out of memory.')).toBeTruthy();
});

test('a ready session has the two ways in, in the starting document’s words', async () => {
  const s = session();
  routes[`GET /v1/sessions/${s.id}`] = [200, s];
  open(`/sessions/${s.id}`);
  expect(await screen.findByText('VM Ready')).toBeTruthy();
  expect(screen.getByRole('link', { name: 'Open VM Desktop (WebRTC)' })).toBeTruthy();
  expect(screen.getByRole('link', { name: 'Use noVNC' })).toBeTruthy();
});

test('ending asks once more', async () => {
  const s = session();
  routes['GET /v1/sessions'] = [200, { sessions: [s], next_cursor: null }];
  routes[`DELETE /v1/sessions/${s.id}`] = [200, { ...s, state: 'stopping' }];
  open('/');
  await userEvent.click(await screen.findByRole('button', { name: 'End' }));
  expect(calls.some((c) => c.call.startsWith('DELETE'))).toBe(false);
  await userEvent.click(screen.getByRole('button', { name: 'End it?' }));
  expect(await screen.findByText('stopping')).toBeTruthy();
});

test('a ticket that is worth nothing says what to do', async () => {
  routes['POST /v1/tickets/redeem'] = [
    401,
    {
      error: {
        code: 'bad_ticket',
        message: 'this ticket was used or has expired',
        remedy: '',
        retryable: false,
        request_id: '',
      },
    },
  ];
  open('/view/ses_1#ticket=abc');
  expect(await screen.findByText('No way in')).toBeTruthy();
  expect(location.href).not.toContain('abc');
});
