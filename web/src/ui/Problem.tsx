import { ApiError, Offline } from '../api/client';
import { Icon } from './icons';
import { Remedy } from './Remedy';

/** An error of a call, in the daemon's own words. */
export function Problem({ error, onRetry }: { error: unknown; onRetry?: () => void }) {
  const detail = error instanceof ApiError ? error.detail : null;
  const message = detail?.message ?? (error instanceof Error ? error.message : String(error));
  return (
    <div className="problem" role="alert">
      <Icon name="alert" />
      <div className="problem-body">
        <p>
          {message} {detail && <code>{detail.code}</code>}
        </p>
        {error instanceof Offline && (
          <p className="muted">Is the daemon running? This page tries again by itself.</p>
        )}
        {detail?.remedy && <Remedy text={detail.remedy} />}
        {detail?.request_id && <p className="muted small">Request {detail.request_id}</p>}
      </div>
      {onRetry && (
        <button className="btn btn-small" onClick={onRetry}>
          Try again
        </button>
      )}
    </div>
  );
}
