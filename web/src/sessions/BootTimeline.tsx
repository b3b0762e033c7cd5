import type { Boot } from '../api/types';
import { serverTime } from '../api/clock';
import { took } from '../ui/format';
import { useNow } from '../ui/hooks';
import { lay, says, type Bar } from './timeline';

/** The boot ledger, filling while the start goes on. */
export function BootTimeline({ boot, going }: { boot: Boot | undefined; going: boolean }) {
  const now = useNow(going ? 80 : 0);
  const { bars, passed } = lay(boot?.phases ?? [], serverTime(now), going);
  const failed = bars.some((b) => b.outcome === 'failed');
  if (bars.length === 0) return <p className="muted">Nothing was written in the boot ledger.</p>;
  return (
    <section className="boot" aria-label="Boot timeline" data-boot={going ? 'going' : 'done'}>
      <div className="boot-total" aria-live="off">
        <strong>{took(passed)}</strong>
        <span className="muted">
          {going ? 'so far' : failed ? 'until it failed' : 'from wish to picture'}
        </span>
      </div>
      <ol className="boot-rows">
        {bars.map((b) => (
          <Row key={b.name} bar={b} />
        ))}
      </ol>
    </section>
  );
}

function Row({ bar: b }: { bar: Bar }) {
  const percent = (v: number) => `${(Math.min(1, Math.max(0, v)) * 100).toFixed(2)}%`;
  const state = { running: 'is running', ok: 'done', failed: 'failed', waiting: 'to come' }[b.outcome];
  return (
    <li className={`boot-row boot-${b.outcome}`} data-phase={b.name} data-outcome={b.outcome}>
      <div className="boot-name">
        <span>{says[b.name]}</span>
        <code>{b.name}</code>
        <span className="sr-only">, {state}</span>
      </div>
      <div className="boot-track" aria-hidden="true">
        <div className="boot-bar" style={{ left: percent(b.from), width: `max(3px, ${percent(b.width)})` }} />
      </div>
      <div className="boot-ms">{b.outcome === 'waiting' ? '' : took(b.ms)}</div>
      {b.detail && <div className="boot-detail">{b.detail}</div>}
    </li>
  );
}
