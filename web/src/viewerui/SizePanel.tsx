import type { Engine } from '../viewer/engine';
import type { Sizing } from '../viewer/geometry';
import type { Snapshot } from '../viewer/snapshot';
import { PanelBox } from './PanelBox';

const choices: { sizing: Sizing; name: string; says: string }[] = [
  {
    sizing: 'match',
    name: 'Match this tab',
    says: 'The desktop takes the size of your tab while you are in control.',
  },
  { sizing: 'fit', name: 'Fit', says: 'The picture is scaled to the tab.' },
  { sizing: 'actual', name: 'Actual size', says: 'Pixel for pixel; scroll to see the rest.' },
];

export function SizePanel({ engine, snapshot: s }: { engine: Engine; snapshot: Snapshot }) {
  return (
    <PanelBox title="Size">
      <div role="radiogroup" aria-label="Size" className="runtimes">
        {choices.map((c) => (
          <label className="choice" key={c.sizing}>
            <input
              type="radio"
              name="sizing"
              checked={s.sizing === c.sizing}
              onChange={() => engine.size(c.sizing)}
            />
            <span>
              <strong>{c.name}</strong>
              <small>{c.says}</small>
            </span>
          </label>
        ))}
      </div>
      <p className="muted small">
        The desktop is {s.desktop.width} × {s.desktop.height} now.
      </p>
    </PanelBox>
  );
}
