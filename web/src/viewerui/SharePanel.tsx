import { useMutation } from '@tanstack/react-query';
import { useState } from 'react';
import { api } from '../api/client';
import type { Session, Ticket } from '../api/types';
import { CopyButton } from '../ui/buttons';
import { Problem } from '../ui/Problem';
import { PanelBox } from './PanelBox';

const lasts = [
  { seconds: 300, name: '5 minutes' },
  { seconds: 3600, name: '1 hour' },
  { seconds: 86400, name: '1 day' },
];

/** Links that let one more viewer in, without a login. */
export function SharePanel({ session }: { session: Session }) {
  const [ttl, setTtl] = useState(3600);
  const [tickets, setTickets] = useState<Ticket[]>([]);
  const make = useMutation({
    mutationFn: (scope: 'view' | 'control') => api.ticket(session.id, scope, ttl),
    onSuccess: (t) => setTickets((was) => [t, ...was]),
  });
  const revoke = useMutation({
    mutationFn: (t: Ticket) => api.revoke(session.id, t.id),
    onSuccess: (_, t) => setTickets((was) => was.filter((x) => x.id !== t.id)),
  });
  const error = make.error ?? revoke.error;
  return (
    <PanelBox title="Share">
      <p className="muted small">
        A link lets one viewer in, once, without a login. Revoking it shuts them out.
      </p>
      <label className="field">
        <span>To be opened within</span>
        <select value={ttl} onChange={(e) => setTtl(Number(e.target.value))}>
          {lasts.map((l) => (
            <option key={l.seconds} value={l.seconds}>
              {l.name}
            </option>
          ))}
        </select>
      </label>
      <div className="actions">
        <button
          className="btn btn-small btn-primary"
          disabled={make.isPending}
          onClick={() => make.mutate('view')}
        >
          Link to watch
        </button>
        <button className="btn btn-small" disabled={make.isPending} onClick={() => make.mutate('control')}>
          Link to control
        </button>
      </div>
      {error && <Problem error={error} />}
      {tickets.map((t) => (
        <div key={t.id} className="ticket">
          <input
            readOnly
            value={t.url}
            aria-label={`Link to ${t.scope}`}
            onFocus={(e) => e.target.select()}
          />
          <div className="actions">
            <span className="chip chip-plain">{t.scope === 'view' ? 'watch' : 'control'}</span>
            <CopyButton text={t.url} />
            <button className="btn btn-small" onClick={() => revoke.mutate(t)}>
              Revoke
            </button>
          </div>
        </div>
      ))}
    </PanelBox>
  );
}
