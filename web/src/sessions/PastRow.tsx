import { Link } from '@tanstack/react-router';
import type { Session } from '../api/types';
import { IsolationChip, StateChip, titleOf } from '../ui/Chip';
import { span } from '../ui/format';
import { reasonOf } from './reasons';

/** A session that is over: one line, with why. */
export function PastRow({ session: s, now }: { session: Session; now: number }) {
  const ended = Date.parse(s.ended_at ?? s.created_at);
  return (
    <Link to="/sessions/$id" params={{ id: s.id }} search={{}} className="past" data-session={s.id}>
      <StateChip state={s.state} />
      <span className="past-title">{titleOf(s)}</span>
      <span className="past-why">
        {s.failure ? (
          <>
            <code>{s.failure.code}</code> {s.failure.message}
          </>
        ) : (
          <span className="muted">{reasonOf(s.ended_reason)}</span>
        )}
      </span>
      <span className="past-iso">
        <IsolationChip isolation={s.isolation} />
      </span>
      <span className="muted past-when" title={new Date(ended).toLocaleString()}>
        {span(now - ended)} ago
      </span>
    </Link>
  );
}
