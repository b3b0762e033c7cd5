import { useQuery, useQueryClient } from '@tanstack/react-query';
import { Link, getRouteApi, useNavigate } from '@tanstack/react-router';
import { lazy, Suspense, useEffect } from 'react';
import { isFinal } from '../api/client';
import { bootQuery, sessionQuery } from '../api/queries';
import { over, type Session } from '../api/types';
import { again, useCreate, useEnd } from '../sessions/actions';
import { BootTimeline } from '../sessions/BootTimeline';
import { ConsoleView } from '../sessions/ConsoleView';
import { EndedCard, ReadyCard } from '../sessions/StateCards';
import { FailureCard } from '../sessions/FailureCard';
import { Facts } from '../sessions/Facts';
import { QueueCard, Refused } from '../sessions/WaitForRoom';
import { ConfirmButton } from '../ui/buttons';
import { StateChip, titleOf } from '../ui/Chip';
import { useTitle } from '../ui/hooks';
import { Icon } from '../ui/icons';
import { Problem } from '../ui/Problem';
import { Disclosure, Shell } from '../ui/Shell';

const Viewer = lazy(() => import('../viewerui/Viewer').then((m) => ({ default: m.Viewer })));
const route = getRouteApi('/app/sessions/$id');

/** One session: its start filling live, then its desktop; or why there is none. */
export function SessionPage() {
  const { id } = route.useParams();
  const search = route.useSearch();
  const navigate = useNavigate();
  const session = useQuery({
    ...sessionQuery(id),
    // Events bring the changes; this is for when the stream is down while somebody waits.
    refetchInterval: (q) =>
      q.state.data && !over(q.state.data.state) && q.state.data.state !== 'ready' ? 3000 : false,
    retry: (_, e) => !isFinal(e),
  });
  const s = session.data;
  useTitle(s ? titleOf(s) : 'Session');

  if (session.error && !s) {
    return (
      <Shell>
        <Back />
        <Problem error={session.error} onRetry={() => void session.refetch()} />
      </Shell>
    );
  }
  if (!s) return <Shell>{null}</Shell>;
  if (s.state === 'ready' && search.view) {
    const leave = () => void navigate({ to: '/sessions/$id', params: { id }, search: {} });
    return (
      <Suspense fallback={<div className="vt-root" />}>
        <Viewer key={id} session={s} options={search} own onLeave={leave} />
      </Suspense>
    );
  }
  return <Dashboard session={s} opens={search.view !== undefined} />;
}

function Back() {
  return (
    <Link to="/" className="back">
      <Icon name="back" size={18} />
      All sessions
    </Link>
  );
}

function Dashboard({ session: s, opens }: { session: Session; opens: boolean }) {
  const boot = useQuery(bootQuery(s.id));
  const create = useCreate();
  const end = useEnd();
  const client = useQueryClient();
  const going = s.state === 'pending' || s.state === 'starting';
  const failure = s.failure ?? boot.data?.failure ?? null;

  // A phase may end between the page's load and the stream's first event.
  useEffect(() => {
    if (!going) void client.invalidateQueries({ queryKey: bootQuery(s.id).queryKey });
  }, [client, going, s.id]);

  return (
    <Shell>
      <Back />
      <div className="head">
        <h1>{titleOf(s)}</h1>
        <StateChip state={s.state} />
        <span className="head-gap" />
        {!over(s.state) && s.state !== 'stopping' && (
          <ConfirmButton
            label="End session"
            sure="End it for good?"
            icon="power"
            onConfirm={() => end.mutate(s.id)}
          />
        )}
      </div>
      <div className="columns">
        <div className="column-main">
          {failure && s.state === 'failed' && (
            <FailureCard
              id={s.id}
              failure={failure}
              bundle={s.bundle}
              busy={create.isPending}
              onRetry={failure.retryable ? () => create.mutate(again(s)) : null}
            />
          )}
          <Refused create={create} />
          {s.queue && <QueueCard queue={s.queue} />}
          {s.state === 'ready' && <ReadyCard session={s} />}
          {s.state === 'ended' && (
            <EndedCard session={s} onAgain={() => create.mutate(again(s))} busy={create.isPending} />
          )}
          {s.queue ? null : going ? (
            <section className="card">
              <h2>Starting</h2>
              <p className="muted">
                {opens ? 'The desktop opens by itself when it is there.' : 'Every step, timed as it happens.'}
              </p>
              <BootTimeline boot={boot.data} going />
            </section>
          ) : (
            <Disclosure label="Boot ledger" opened={s.state === 'failed'}>
              <BootTimeline boot={boot.data} going={false} />
            </Disclosure>
          )}
          <Disclosure label="Console">
            <ConsoleView id={s.id} live={!over(s.state)} />
          </Disclosure>
        </div>
        <Facts session={s} />
      </div>
    </Shell>
  );
}
