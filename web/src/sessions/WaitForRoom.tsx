import { ApiError } from '../api/client';
import type { Session } from '../api/types';
import { Problem } from '../ui/Problem';
import type { useCreate } from './actions';

/** How long a desktop from this page waits for room, in seconds; the daemon allows an hour. */
const patience = 600;

/** What a create was refused for, and where waiting helps the offer to wait. */
export function Refused({ create }: { create: ReturnType<typeof useCreate> }) {
  const { error, variables: wish } = create;
  if (!error) return null;
  const full =
    error instanceof ApiError && error.detail.code === 'host_no_capacity' && error.detail.retryable;
  return (
    <>
      <Problem error={error} />
      {full && wish.queue_seconds === undefined && (
        <div className="actions">
          <button
            type="button"
            className="btn"
            disabled={create.isPending}
            onClick={() => create.mutate({ ...wish, queue_seconds: patience })}
          >
            Wait for room
          </button>
          <span className="muted">In turn, for at most {patience / 60} minutes.</span>
        </div>
      )}
    </>
  );
}

/** Where a session stands that waits for room. */
export function QueueCard({ queue }: { queue: NonNullable<Session['queue']> }) {
  return (
    <section className="card" data-queue={queue.position} aria-live="polite">
      <h2>Waiting for room</h2>
      <p>{queueWords(queue)}</p>
      <p className="muted">
        The host is full. It starts by itself when its turn has come and there is room for it; it gives up at{' '}
        {new Date(queue.deadline).toLocaleTimeString()}.
      </p>
    </section>
  );
}

export const queueWords = (queue: NonNullable<Session['queue']>): string =>
  queue.position === 1 ? 'Next in the queue' : `Place ${queue.position} in the queue`;
