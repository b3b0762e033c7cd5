// The calls of the page. The cookie does the authentication; nothing here ever holds a key.
import type {
  Boot,
  CreateSession,
  Doctor,
  ErrorDetail,
  ImageList,
  Me,
  RedeemedTicket,
  Session,
  SessionList,
  Status,
  Ticket,
} from './types';

/** ApiError is an answer of the daemon that says no; its words are meant for the person in front of the page. */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly detail: ErrorDetail,
  ) {
    super(detail.message);
    this.name = 'ApiError';
  }
}

/** Offline is thrown when no answer came at all. */
export class Offline extends Error {
  constructor(cause: unknown) {
    super('The server does not answer.', { cause });
    this.name = 'Offline';
  }
}

/** isFinal says whether asking again is of no use: the daemon itself said no, not a proxy while it restarts. */
export const isFinal = (e: unknown): boolean =>
  e instanceof ApiError && !(e.detail.code === 'bad_answer' && e.detail.retryable);

async function call(method: string, path: string, body?: unknown, headers: Record<string, string> = {}) {
  let answer: Response;
  try {
    answer = await fetch(path, {
      method,
      credentials: 'same-origin',
      headers: body === undefined ? headers : { 'Content-Type': 'application/json', ...headers },
      body: body === undefined ? null : JSON.stringify(body),
    });
  } catch (cause) {
    throw new Offline(cause);
  }
  if (!answer.ok) throw new ApiError(answer.status, await detailOf(answer));
  return answer;
}

/** A proxy in front of the daemon answers in its own format; the words for that case are made here. */
async function detailOf(answer: Response): Promise<ErrorDetail> {
  try {
    const { error } = (await answer.json()) as { error?: Partial<ErrorDetail> };
    if (typeof error?.message === 'string') {
      const empty = { code: 'unknown', message: '', remedy: '', retryable: false, request_id: '' };
      return { ...empty, ...error };
    }
  } catch {
    // Not JSON: said below.
  }
  return {
    code: 'bad_answer',
    message: `The server answered ${answer.status} without saying why.`,
    remedy: 'Look at the log of the daemon, or of the proxy in front of it.',
    retryable: answer.status >= 500,
    request_id: answer.headers.get('X-Request-Id') ?? '',
  };
}

const json = async <T>(answer: Promise<Response>): Promise<T> => (await (await answer).json()) as T;
const at = (id: string, rest = '') => `/v1/sessions/${encodeURIComponent(id)}${rest}`;

export const api = {
  me: () => json<Me>(call('GET', '/v1/me')),
  login: (token: string) => json<Me>(call('POST', '/v1/login', { token })),
  logout: () => call('POST', '/v1/logout'),
  status: () => json<Status>(call('GET', '/v1/status')),
  doctor: () => json<Doctor>(call('GET', '/v1/host/doctor')),
  images: () => json<ImageList>(call('GET', '/v1/images')),

  sessions: (cursor?: string) =>
    json<SessionList>(
      call('GET', `/v1/sessions?limit=100${cursor ? `&cursor=${encodeURIComponent(cursor)}` : ''}`),
    ),
  session: (id: string) => json<Session>(call('GET', at(id))),
  create: (wish: CreateSession, key: string) =>
    json<Session>(call('POST', '/v1/sessions', wish, { 'Idempotency-Key': key })),
  end: (id: string) => json<Session>(call('DELETE', at(id))),
  boot: (id: string) => json<Boot>(call('GET', at(id, '/boot'))),
  console: async (id: string) => (await call('GET', at(id, '/console?tail=500'))).text(),
  screenshot: async (id: string) => (await call('GET', at(id, '/screenshot'))).blob(),

  ticket: (id: string, scope: Ticket['scope'], ttl_seconds: number) =>
    json<Ticket>(call('POST', at(id, '/tickets'), { scope, ttl_seconds })),
  revoke: (id: string, ticket: string) => call('DELETE', at(id, `/tickets/${encodeURIComponent(ticket)}`)),
  redeem: (ticket: string) => json<RedeemedTicket>(call('POST', '/v1/tickets/redeem', { ticket })),
};
