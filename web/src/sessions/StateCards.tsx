import { Link } from '@tanstack/react-router';
import type { Session } from '../api/types';
import { took } from '../ui/format';
import { Icon } from '../ui/icons';
import { reasonOf } from './reasons';
import { Thumbnail } from './Thumbnail';

/** The machine runs, and nobody has opened its desktop in this tab. */
export function ReadyCard({ session: s }: { session: Session }) {
  const start = s.ready_at ? Date.parse(s.ready_at) - Date.parse(s.created_at) : 0;
  return (
    <section className="card ready">
      <Thumbnail id={s.id} live />
      <div className="ready-body">
        <h2>VM Ready</h2>
        <p className="muted">{start > 0 ? `It took ${took(start)} to start.` : 'The desktop is up.'}</p>
        <div className="actions">
          <Link
            className="btn btn-primary"
            to="/sessions/$id"
            params={{ id: s.id }}
            search={{ view: 'webrtc' }}
          >
            Open VM Desktop (WebRTC)
          </Link>
          <Link className="btn" to="/sessions/$id" params={{ id: s.id }} search={{ view: 'novnc' }}>
            Use noVNC
          </Link>
        </div>
      </div>
    </section>
  );
}

/** The session is over, as it should be or not. */
export function EndedCard({
  session: s,
  onAgain,
  busy,
}: {
  session: Session;
  onAgain: () => void;
  busy: boolean;
}) {
  const lasted = s.ended_at ? Date.parse(s.ended_at) - Date.parse(s.created_at) : 0;
  return (
    <section className="card ended" data-ended={s.ended_reason ?? ''}>
      <h2>Session ended</h2>
      <p>{reasonOf(s.ended_reason)}</p>
      <p className="muted">
        {lasted > 0 &&
          `It lasted ${Math.floor(lasted / 60000)} min ${Math.floor((lasted % 60000) / 1000)} s. `}
        {s.released ? 'Nothing of its machine is left on the host.' : 'Its machine is being taken away.'}
      </p>
      <div className="actions">
        <button className="btn btn-primary" onClick={onAgain} disabled={busy}>
          <Icon name="plus" size={18} />
          Another one like it
        </button>
        <Link className="btn" to="/">
          All sessions
        </Link>
      </div>
    </section>
  );
}
