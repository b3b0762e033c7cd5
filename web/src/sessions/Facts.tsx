import { over, type Session } from '../api/types';
import { CopyButton } from '../ui/buttons';
import { Fact, IsolationChip, isolations } from '../ui/Chip';
import { memory } from '../ui/format';

const when = (t: string | null) =>
  t ? new Date(t).toLocaleString(undefined, { dateStyle: 'medium', timeStyle: 'short' }) : '';

/** What a session is, in full. */
export function Facts({ session: s }: { session: Session }) {
  return (
    <aside className="card facts" aria-label="Facts">
      <div className="facts-isolation">
        <IsolationChip isolation={s.isolation} />
        <p className="muted small">{isolations[s.isolation].gives}</p>
      </div>
      <dl>
        <Fact name="Memory">{memory(s.memory_mb)}</Fact>
        <Fact name="vCPU">{s.vcpu}</Fact>
        <Fact name="Screen">
          {s.viewport.width} × {s.viewport.height}
        </Fact>
        <Fact name="Image">
          {s.image.ref}
          {s.image.digest && <code title={s.image.digest}>{s.image.digest.slice(0, 14)}…</code>}
        </Fact>
        <Fact name="Runtime">{s.runtime}</Fact>
        {s.address && (
          <Fact name="Address">
            <code>{s.address}</code>
          </Fact>
        )}
        {s.node && <Fact name="Node">{s.node}</Fact>}
        <Fact name="User">{s.user_id}</Fact>
        <Fact name="Started">{when(s.created_at)}</Fact>
        {s.expires_at && !over(s.state) && <Fact name="Ends">{when(s.expires_at)}</Fact>}
        {s.idle_timeout_seconds > 0 && (
          <Fact name="Idle timeout">{Math.round(s.idle_timeout_seconds / 60)} min</Fact>
        )}
        {s.ended_at && <Fact name="Ended">{when(s.ended_at)}</Fact>}
        {Object.entries(s.metadata)
          .filter(([k]) => k !== 'name')
          .map(([k, v]) => (
            <Fact key={k} name={k}>
              {v}
            </Fact>
          ))}
      </dl>
      <div className="facts-id">
        <code>{s.id}</code>
        <CopyButton text={s.id} />
      </div>
      {s.cdp_url && s.state === 'ready' && (
        <div className="facts-id">
          <span className="muted small">For Playwright's connectOverCDP, with a key</span>
          <CopyButton text={s.cdp_url} label="CDP URL" />
        </div>
      )}
    </aside>
  );
}
