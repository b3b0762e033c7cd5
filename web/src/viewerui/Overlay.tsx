import { Link } from '@tanstack/react-router';
import type { Session } from '../api/types';
import { again, useCreate } from '../sessions/actions';
import { reasonOf } from '../sessions/reasons';
import { Icon } from '../ui/icons';
import { Problem } from '../ui/Problem';
import { Remedy } from '../ui/Remedy';
import type { Snapshot } from '../viewer/snapshot';

interface Props {
  snapshot: Snapshot;
  session: Session;
  own: boolean;
  onLeave: (() => void) | undefined;
}

/** What lies over the picture while there is none, or none any more. */
export function Overlay({ snapshot: s, session, own, onLeave }: Props) {
  switch (s.state) {
    case 'live':
      return null;
    case 'connecting':
      return (
        <div className="vt-cover" role="status">
          <div className="vt-spinner" aria-hidden="true" />
          <p>{s.doing}…</p>
        </div>
      );
    case 'reconnecting':
      return (
        <div className="vt-pill" role="status">
          <div className="vt-spinner vt-spinner-small" aria-hidden="true" />
          {s.doing}…
        </div>
      );
    case 'refused':
      return (
        <div className="vt-cover">
          <section className="card vt-card" role="alert">
            <h2>This desktop is closed to you now</h2>
            <p className="muted">Its link was revoked, the login ended, or the session is gone.</p>
            {onLeave && (
              <Link className="btn" to="/">
                All sessions
              </Link>
            )}
          </section>
        </div>
      );
    case 'ended':
      return <End snapshot={s} session={session} own={own} />;
  }
}

function End({ snapshot, session, own }: { snapshot: Snapshot; session: Session; own: boolean }) {
  const create = useCreate();
  const { reason, failure } = snapshot.end ?? { reason: '', failure: null };
  return (
    <div className="vt-cover">
      <section className="card vt-card" role="alert" data-ended={reason || 'failed'}>
        <h2>{failure ? failure.message : 'Session ended'}</h2>
        {failure ? (
          <p className="muted">
            <code>{failure.code}</code>
          </p>
        ) : (
          <p className="muted">{reasonOf(reason)}</p>
        )}
        {failure && own && <Remedy text={failure.remedy} />}
        {create.error && <Problem error={create.error} />}
        {own && (
          <div className="actions">
            <button
              className="btn btn-primary"
              disabled={create.isPending}
              onClick={() => create.mutate(again(session))}
            >
              <Icon name="plus" size={18} />
              Another one like it
            </button>
            <Link className="btn" to="/">
              All sessions
            </Link>
          </div>
        )}
      </section>
    </div>
  );
}
