import { Icon } from '../ui/icons';
import type { Engine } from '../viewer/engine';
import { inControl, type Snapshot } from '../viewer/snapshot';
import { PanelBox } from './PanelBox';
import { nameOf, pathNames } from './words';

/** Who watches, and who of them is in control. */
export function PeoplePanel({ engine, snapshot: s }: { engine: Engine; snapshot: Snapshot }) {
  const me = inControl(s);
  return (
    <PanelBox title="Viewers">
      <ul className="people">
        {s.viewers.map((v) => (
          <li key={v.id} data-viewer={v.id}>
            <Icon name={v.id === s.controller ? 'pointer' : 'eye'} size={16} />
            <span className="people-name">
              {nameOf(s, v.id)}
              {v.id === s.me && <span className="muted"> (you)</span>}
            </span>
            <span className="muted small">
              {v.id === s.controller ? 'in control, ' : ''}
              {v.away ? 'away' : pathNames[v.path]}
            </span>
            {me && v.id !== s.me && v.scope === 'control' && !v.away && (
              <button className="btn btn-small" onClick={() => engine.control('give', v.id)}>
                Give control
              </button>
            )}
          </li>
        ))}
      </ul>
      <div className="actions">
        {me ? (
          <button className="btn btn-small" onClick={() => engine.control('release')}>
            Let go of control
          </button>
        ) : s.scope === 'control' ? (
          <>
            <button className="btn btn-small btn-primary" onClick={() => engine.control('take')}>
              Take control
            </button>
            {s.controller !== '' && (
              <button className="btn btn-small" onClick={() => engine.control('request')}>
                Ask for it
              </button>
            )}
          </>
        ) : (
          <p className="muted small">Your link lets you watch.</p>
        )}
      </div>
    </PanelBox>
  );
}
