import type { Failure } from '../api/types';
import { Icon } from '../ui/icons';
import { Remedy } from '../ui/Remedy';
import { says } from './timeline';

/** Why a session failed: the code, plain words, the lines that prove it, what helps. */
export function FailureCard({
  failure,
  onRetry,
  busy,
}: {
  failure: Failure;
  onRetry: (() => void) | null;
  busy: boolean;
}) {
  return (
    <section className="card failure" role="alert" data-failure={failure.code}>
      <header className="failure-head">
        <Icon name="alert" size={24} />
        <div>
          <h2>{failure.message}</h2>
          <p className="muted">
            <code>{failure.code}</code> in phase <code>{failure.phase}</code> (
            {says[failure.phase].toLowerCase()})
          </p>
        </div>
      </header>
      {failure.evidence.length > 0 && (
        <figure className="evidence">
          <figcaption>Evidence, word for word</figcaption>
          <pre tabIndex={0}>{failure.evidence.join('\n')}</pre>
        </figure>
      )}
      <Remedy text={failure.remedy} />
      {onRetry && (
        <div className="actions">
          <button className="btn btn-primary" onClick={onRetry} disabled={busy}>
            <Icon name="retry" size={18} />
            Try again
          </button>
          <span className="muted small">The same wish, in a new session.</span>
        </div>
      )}
      {!failure.retryable && <p className="muted small">Trying again unchanged would end the same way.</p>}
    </section>
  );
}
