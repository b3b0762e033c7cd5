import { useQuery } from '@tanstack/react-query';
import { getRouteApi } from '@tanstack/react-router';
import { lazy, Suspense, useEffect, useState } from 'react';
import { api, isFinal } from '../api/client';
import { follow } from '../api/events';
import { bootQuery, sessionQuery } from '../api/queries';
import { over, type Session } from '../api/types';
import { BootTimeline } from '../sessions/BootTimeline';
import { reasonOf } from '../sessions/reasons';
import { useTitle } from '../ui/hooks';
import { Mark } from '../ui/icons';
import { Problem } from '../ui/Problem';

// Fetched with the page, not when it is needed: it is small, and a desktop that is opened waits for it.
const viewer = import('../viewerui/Viewer').then((m) => ({ default: m.Viewer }));
const Viewer = lazy(() => viewer);
const route = getRouteApi('/view/$id');

function ticketOfHash(): string {
  return new URLSearchParams(location.hash.slice(1)).get('ticket') ?? '';
}

// Once per page load, whatever React does: a ticket works once.
let redeemed: Promise<unknown> | null = null;

function redeem(): Promise<unknown> {
  if (redeemed) return redeemed;
  const ticket = ticketOfHash();
  history.replaceState(history.state, '', location.pathname + location.search);
  redeemed = ticket ? api.redeem(ticket) : Promise.resolve();
  return redeemed;
}

/** The page of a ticket: the desktop and nothing of the dashboard. A reload goes on with the cookie. */
export function ViewPage() {
  const { id } = route.useParams();
  const search = route.useSearch();
  const [error, setError] = useState<unknown>(null);
  const [entered, setEntered] = useState(false);
  useTitle('Desktop');

  useEffect(() => {
    redeem().then(
      () => setEntered(true),
      (e: unknown) => setError(e),
    );
  }, []);

  // Once open, the viewer sees for itself what becomes of the session; this cookie is worth nothing after its end.
  const [open, setOpen] = useState<Session | null>(null);
  const session = useQuery({
    ...sessionQuery(id),
    enabled: entered && !open,
    refetchInterval: (q) => (q.state.data && over(q.state.data.state) ? false : 3000),
    retry: (_, e) => !isFinal(e),
  });
  const boot = useQuery({ ...bootQuery(id), enabled: entered && !open });
  const { refetch: again } = session;
  const { refetch: ledger } = boot;
  useEffect(() => {
    if (!entered || open) return;
    const renew = () => void Promise.all([again(), ledger()]);
    return follow(`/v1/sessions/${id}/events`, { event: renew, open: renew, broken: () => undefined });
  }, [entered, open, id, again, ledger]);

  const s = session.data;
  if (s?.state === 'ready' && !open) setOpen(s);
  if (open) {
    return (
      <Suspense fallback={<div className="vt-root" />}>
        <Viewer session={open} options={{ ...search, view: search.view ?? 'webrtc' }} own={false} />
      </Suspense>
    );
  }
  const problem = error ?? session.error;
  return (
    <main className="door">
      <section className="card door-card">
        <Mark size={48} />
        {problem !== null ? (
          <>
            <h1>No way in</h1>
            <Problem error={problem} />
            <p className="muted">
              A link like this lets one viewer in, for a while. Ask whoever sent it for a new one.
            </p>
          </>
        ) : s && over(s.state) ? (
          <>
            <h1>Session ended</h1>
            <p className="muted">{s.failure?.message ?? reasonOf(s.ended_reason)}</p>
          </>
        ) : (
          <>
            <h1>Starting</h1>
            <BootTimeline boot={boot.data} going />
          </>
        )}
      </section>
    </main>
  );
}
