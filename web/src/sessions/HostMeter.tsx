import { useQuery } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import { meQuery, statusQuery } from '../api/queries';
import { memory } from '../ui/format';

/** How much of the host's memory its sessions hold; for an admin, the way to the host's report. */
export function HostMeter() {
  const status = useQuery(statusQuery).data;
  const admin = useQuery(meQuery).data?.role === 'admin';
  if (!status) return null;
  const { reserved, capacity } = status;
  const part = capacity.memory_mb > 0 ? Math.min(1, reserved.memory_mb / capacity.memory_mb) : 0;
  return (
    <div
      className="meter"
      title={`${reserved.sessions} sessions hold ${memory(reserved.memory_mb)} of ${memory(capacity.memory_mb)}`}
    >
      <div
        className="meter-track"
        role="meter"
        aria-label="Memory held by sessions"
        aria-valuenow={Math.round(part * 100)}
        aria-valuemin={0}
        aria-valuemax={100}
      >
        <div
          className={part > 0.85 ? 'meter-bar meter-full' : 'meter-bar'}
          style={{ width: `${part * 100}%` }}
        />
      </div>
      <span>
        {memory(reserved.memory_mb)}
        {capacity.memory_mb > 0 && <span className="muted"> of {memory(capacity.memory_mb)}</span>}
      </span>
      {admin && (
        <Link to="/host" className="link">
          Host
        </Link>
      )}
    </div>
  );
}
