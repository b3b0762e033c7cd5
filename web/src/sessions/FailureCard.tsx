import type { Bundle, Failure } from '../api/types';
import { bytes } from '../ui/format';
import { Icon } from '../ui/icons';
import { Remedy } from '../ui/Remedy';
import { failures } from './failures';
import { says } from './timeline';

/** Why a session failed: the code, plain words, the lines that prove it, what helps. */
export function FailureCard({
  id,
  failure,
  bundle,
  onRetry,
  busy,
}: {
  id: string;
  failure: Failure;
  bundle: Bundle | null;
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
          <p className="muted small">This code means: {failures[failure.code].means}.</p>
        </div>
      </header>
      {failure.evidence.length > 0 && (
        <figure className="evidence">
          <figcaption title={`Proved by ${failures[failure.code].proof}.`}>
            Evidence, word for word
          </figcaption>
          <pre tabIndex={0}>{failure.evidence.join('\n')}</pre>
        </figure>
      )}
      <Remedy text={failure.remedy} />
      {(onRetry || bundle) && (
        <div className="actions">
          {onRetry && (
            <>
              <button className="btn btn-primary" onClick={onRetry} disabled={busy}>
                <Icon name="retry" size={18} />
                Try again
              </button>
              <span className="muted small">The same wish, in a new session.</span>
            </>
          )}
          {bundle && (
            <a
              className="btn"
              href={`/v1/sessions/${id}/bundle`}
              download
              title="Console, logs, boot ledger and figures of the host at that moment, in one file. Secrets are taken out; the screenshot is shown as it was."
            >
              <Icon name="download" size={18} />
              Download bundle ({bytes(bundle.size_bytes)})
            </a>
          )}
        </div>
      )}
      {!failure.retryable && <p className="muted small">Trying again unchanged would end the same way.</p>}
    </section>
  );
}
