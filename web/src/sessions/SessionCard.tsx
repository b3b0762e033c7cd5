import { useQuery } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import { bootQuery } from '../api/queries';
import type { Session } from '../api/types';
import { ConfirmButton } from '../ui/buttons';
import { IsolationChip, StateChip, titleOf } from '../ui/Chip';
import { memory, span } from '../ui/format';
import { Icon } from '../ui/icons';
import { Thumbnail } from './Thumbnail';
import { says } from './timeline';
import { queueWords } from './WaitForRoom';

/** A live session: what it shows, what it is, and the way in. */
export function SessionCard({
  session: s,
  now,
  onEnd,
}: {
  session: Session;
  now: number;
  onEnd: () => void;
}) {
  const ready = s.state === 'ready';
  return (
    <article className="tile" data-session={s.id}>
      <Link
        to="/sessions/$id"
        params={{ id: s.id }}
        search={s.state === 'stopping' ? {} : { view: 'webrtc' }}
        className="tile-open"
        aria-label={`Open ${titleOf(s)}`}
      >
        <Thumbnail id={s.id} live={ready} />
        {!ready && <Progress session={s} />}
      </Link>
      <div className="tile-body">
        <div className="tile-head">
          <h3>{titleOf(s)}</h3>
          <StateChip state={s.state} />
        </div>
        <div className="tile-facts">
          <IsolationChip isolation={s.isolation} />
          <span title="Memory and processors">
            {memory(s.memory_mb)} · {s.vcpu} vCPU
          </span>
          <span title={`Started ${new Date(s.created_at).toLocaleString()}`}>
            {span(now - Date.parse(s.created_at))}
          </span>
          {s.viewers > 0 && (
            <span className="with-icon" title="Viewers">
              <Icon name="eye" size={15} />
              {s.viewers}
            </span>
          )}
          {s.expires_at && <span>ends in {span(Date.parse(s.expires_at) - now)}</span>}
        </div>
        <div className="tile-actions">
          <Link className="btn btn-small" to="/sessions/$id" params={{ id: s.id }} search={{}}>
            Details
          </Link>
          {s.state !== 'stopping' && (
            <ConfirmButton
              className="btn btn-small"
              label="End"
              sure="End it?"
              icon="power"
              onConfirm={onEnd}
            />
          )}
        </div>
      </div>
    </article>
  );
}

function Progress({ session }: { session: Session }) {
  const boot = useQuery({ ...bootQuery(session.id), enabled: session.state === 'starting' }).data;
  const phase = boot?.phases.at(-1);
  const text = session.queue
    ? queueWords(session.queue)
    : session.state === 'stopping'
      ? 'Ending'
      : phase
        ? says[phase.name]
        : 'Waiting to start';
  return (
    <div className="tile-progress">
      <span>{text}</span>
      <div className="run" />
    </div>
  );
}
