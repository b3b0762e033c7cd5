// What the pages ask of the daemon, cached; live events (events.ts) keep the cache up to date.
import {
  queryOptions,
  infiniteQueryOptions,
  type InfiniteData,
  type QueryClient,
} from '@tanstack/react-query';
import { api } from './client';
import type { Boot, Event, Phase, Session, SessionList } from './types';

export const meQuery = queryOptions({ queryKey: ['me'], queryFn: api.me, retry: false, staleTime: Infinity });
export const statusQuery = queryOptions({ queryKey: ['status'], queryFn: api.status, staleTime: 10_000 });
export const doctorQuery = queryOptions({ queryKey: ['doctor'], queryFn: api.doctor, staleTime: 10_000 });
export const imagesQuery = queryOptions({ queryKey: ['images'], queryFn: api.images, staleTime: 60_000 });

export const sessionsQuery = infiniteQueryOptions({
  queryKey: ['sessions'],
  queryFn: ({ pageParam }) => api.sessions(pageParam || undefined),
  initialPageParam: '',
  getNextPageParam: (last: SessionList) => last.next_cursor ?? undefined,
});

export const sessionQuery = (id: string) =>
  queryOptions({ queryKey: ['session', id], queryFn: () => api.session(id) });
export const bootQuery = (id: string) =>
  queryOptions({ queryKey: ['boot', id], queryFn: () => api.boot(id) });

type Pages = InfiniteData<SessionList, string>;

/** putSession replaces a session wherever it is cached, or adds it at the top of the list. */
export function putSession(client: QueryClient, s: Session): void {
  client.setQueryData<Session>(sessionQuery(s.id).queryKey, s);
  client.setQueryData<Pages>(sessionsQuery.queryKey, (was) =>
    was ? { ...was, pages: merge(was.pages, s) } : was,
  );
}

/** merge is putSession for the pages of the list; pure. */
export function merge(pages: SessionList[], s: Session): SessionList[] {
  if (pages.some((p) => p.sessions.some((x) => x.id === s.id))) {
    return pages.map((p) => ({ ...p, sessions: p.sessions.map((x) => (x.id === s.id ? s : x)) }));
  }
  return pages.map((p, i) => (i === 0 ? { ...p, sessions: [s, ...p.sessions] } : p));
}

/** withPhase gives the ledger with a phase in it; pure. */
export function withPhase(boot: Boot, phase: Phase): Boot {
  const known = boot.phases.some((p) => p.name === phase.name);
  const phases = known
    ? boot.phases.map((p) => (p.name === phase.name ? phase : p))
    : [...boot.phases, phase];
  const begin = Math.min(...phases.map((p) => Date.parse(p.started_at)));
  const end = Math.max(...phases.map((p) => Date.parse(p.started_at) + p.duration_ms));
  return { ...boot, phases, total_ms: end - begin };
}

/** apply brings the cache in line with one event. */
export function apply(client: QueryClient, e: Event): void {
  // An answer that was on its way before the event would undo it: it is asked for again.
  for (const key of [
    sessionQuery(e.session_id).queryKey,
    bootQuery(e.session_id).queryKey,
    sessionsQuery.queryKey,
  ]) {
    if (client.isFetching({ queryKey: key, exact: true }) > 0)
      void client.invalidateQueries({ queryKey: key, exact: true });
  }
  if (e.session) putSession(client, e.session);
  const { phase } = e;
  if (phase) {
    client.setQueryData<Boot>(bootQuery(e.session_id).queryKey, (was) =>
      withPhase(was ?? { session_id: e.session_id, phases: [], total_ms: 0, failure: null }, phase),
    );
  }
  // The ledger's failure comes with the session's; what live sessions hold has changed too.
  if (e.type === 'session.state') {
    void client.invalidateQueries({ queryKey: bootQuery(e.session_id).queryKey });
    void client.invalidateQueries({ queryKey: statusQuery.queryKey });
  }
}
