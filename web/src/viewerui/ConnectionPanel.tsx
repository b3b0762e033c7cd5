import { bits } from '../ui/format';
import type { Engine } from '../viewer/engine';
import type { Snapshot } from '../viewer/snapshot';
import { PanelBox } from './PanelBox';
import { pathNames } from './words';

/** Which way the picture comes, why, and how well. */
export function ConnectionPanel({ engine, snapshot: s }: { engine: Engine; snapshot: Snapshot }) {
  const f = s.figures;
  const ms = (v: number | null) => (v === null ? '–' : `${v < 10 ? v.toFixed(1) : Math.round(v)} ms`);
  const vnc = s.preference === 'novnc';
  return (
    <PanelBox title="Connection">
      <p className="vt-path-line">
        <strong>{pathNames[s.path]}</strong>
        {s.why && <span className="muted"> {s.why}</span>}
      </p>
      <dl className="figures">
        <Figure name="Frames" value={`${f.fps.toFixed(1)} /s`} hint="A still picture needs none" />
        <Figure name="Round trip" value={ms(f.rtt)} />
        <Figure name="Bitrate" value={f.kbps === null ? '–' : bits(f.kbps)} />
        <Figure name="Picture" value={f.width ? `${f.width} × ${f.height}` : '–'} />
        <Figure name="Codec" value={f.codec || '–'} />
        <Figure name="Buffer" value={ms(f.buffer)} />
        <Figure name="Decoding" value={ms(f.decode)} />
        <Figure name="Dropped, lost" value={`${f.dropped}, ${f.lost}`} />
      </dl>
      <button className="btn btn-small" onClick={() => engine.prefer(vnc ? 'auto' : 'novnc')}>
        {vnc ? 'Use WebRTC' : 'Use noVNC'}
      </button>
    </PanelBox>
  );
}

function Figure({ name, value, hint }: { name: string; value: string; hint?: string }) {
  return (
    <div title={hint}>
      <dt>{name}</dt>
      <dd>{value}</dd>
    </div>
  );
}
