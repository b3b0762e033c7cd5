// The viewer's one piece of chrome: a bar at the bottom edge that slides away and comes back for the pointer, the
// keyboard or a tap on its handle.
import { useEffect, useEffectEvent, useRef, useState, type Ref } from 'react';
import type { Session } from '../api/types';
import { useEnd } from '../sessions/actions';
import { ConfirmButton, IconButton } from '../ui/buttons';
import { useMedia } from '../ui/hooks';
import type { Engine } from '../viewer/engine';
import { inControl, type Snapshot } from '../viewer/snapshot';
import { ClipboardPanel } from './ClipboardPanel';
import { ConnectionPanel } from './ConnectionPanel';
import { KeysPanel } from './KeysPanel';
import { PeoplePanel } from './PeoplePanel';
import { SharePanel } from './SharePanel';
import { SizePanel } from './SizePanel';
import type { Fullscreen } from './useFullscreen';
import { nameOf, pathNames } from './words';

export type Panel = 'connection' | 'people' | 'clipboard' | 'keys' | 'size' | 'share';

interface Props {
  ref: Ref<HTMLDivElement>;
  engine: Engine;
  snapshot: Snapshot;
  session: Session;
  own: boolean;
  onLeave: (() => void) | undefined;
  full: Fullscreen;
  panel: Panel | null;
  setPanel: (p: Panel | null) => void;
  /** Grows each time the dock shall come up by itself. */
  summoned: number;
}

const staysAtFirst = 4000;
const staysAfter = 1200;

export function Dock({ ref, ...p }: Props) {
  const { engine, snapshot: s, panel, setPanel } = p;
  const { open, show, hide, toggle } = useHiding(panel !== null, p.summoned);
  const touch = useMedia('(pointer: coarse)');
  const end = useEnd();
  const me = inControl(s);
  const here = s.viewers.filter((v) => !v.away).length;
  const pick = (name: Panel) => () => setPanel(panel === name ? null : name);
  const item = (name: Panel, icon: Parameters<typeof IconButton>[0]['icon'], label: string) => (
    <IconButton icon={icon} label={label} aria-expanded={panel === name} onClick={pick(name)} />
  );

  return (
    <div
      ref={ref}
      className={open ? 'vt-dock vt-dock-open' : 'vt-dock'}
      onPointerEnter={(e) => e.pointerType !== 'touch' && show()}
      onPointerLeave={(e) => e.pointerType !== 'touch' && hide()}
      onFocus={(e) => e.target.matches(':focus-visible') && show()}
      onBlur={(e) => !e.currentTarget.contains(e.relatedTarget) && hide()}
      onKeyDown={(e) => {
        if (e.key !== 'Escape') return;
        if (panel) setPanel(null);
        else engine.focus();
      }}
    >
      {panel && <PanelOf {...p} panel={panel} />}
      <button
        className="vt-handle"
        aria-label="Toolbar"
        aria-expanded={open}
        onClick={toggle}
        tabIndex={open ? -1 : 0}
      />
      <div className="vt-bar" role="toolbar" aria-label="Desktop" inert={!open}>
        {p.onLeave && <IconButton icon="back" label="Back to the session" onClick={p.onLeave} />}
        <PathBadge snapshot={s} expanded={panel === 'connection'} onClick={pick('connection')} />
        <button
          type="button"
          className={me ? 'vt-control vt-control-me' : 'vt-control'}
          aria-expanded={panel === 'people'}
          onClick={pick('people')}
          title="Who watches, who is in control"
        >
          {me ? 'In control' : s.controller ? `${nameOf(s, s.controller)} controls` : 'Watching'}
          {here > 1 && <span className="count">{here}</span>}
        </button>
        {!me && s.scope === 'control' && (
          <button type="button" className="btn btn-small btn-primary" onClick={() => engine.control('take')}>
            Take control
          </button>
        )}
        <span className="vt-gap" />
        {item('clipboard', 'clipboard', 'Clipboard')}
        {touch && item('keys', 'keyboard', 'Keyboard')}
        {item('size', 'size', 'Size')}
        {p.own && item('share', 'share', 'Share')}
        {p.full.possible && (
          <IconButton
            icon={p.full.on ? 'unfull' : 'full'}
            label={p.full.on ? 'Leave full screen' : 'Full screen'}
            onClick={() => {
              p.full.toggle();
              engine.focus();
            }}
          />
        )}
        {p.own && (
          <ConfirmButton
            className="btn btn-small"
            icon="power"
            label="End"
            sure="End it?"
            onConfirm={() => end.mutate(p.session.id)}
          />
        )}
      </div>
    </div>
  );
}

function PathBadge({
  snapshot: s,
  expanded,
  onClick,
}: {
  snapshot: Snapshot;
  expanded: boolean;
  onClick: () => void;
}) {
  const f = s.figures;
  const parts = [pathNames[s.path]];
  if (s.state === 'live') {
    parts.push(`${Math.round(f.fps)} fps`);
    if (f.rtt !== null) parts.push(`${f.rtt < 10 ? f.rtt.toFixed(1) : Math.round(f.rtt)} ms`);
  }
  return (
    <button
      type="button"
      className={`vt-path vt-path-${s.path}`}
      aria-expanded={expanded}
      aria-label="Connection"
      title={s.why ? `${pathNames[s.path]}: ${s.why}` : 'Connection'}
      onClick={onClick}
    >
      <span className="dot" aria-hidden="true" />
      {parts.join(' · ')}
    </button>
  );
}

function PanelOf({ panel, engine, snapshot, session }: Omit<Props, 'ref'> & { panel: Panel }) {
  switch (panel) {
    case 'connection':
      return <ConnectionPanel engine={engine} snapshot={snapshot} />;
    case 'people':
      return <PeoplePanel engine={engine} snapshot={snapshot} />;
    case 'clipboard':
      return <ClipboardPanel engine={engine} snapshot={snapshot} />;
    case 'keys':
      return <KeysPanel engine={engine} />;
    case 'size':
      return <SizePanel engine={engine} snapshot={snapshot} />;
    case 'share':
      return <SharePanel session={session} />;
  }
}

/** When the dock is up: at first, while a panel is open or it has pointer or focus, and when summoned. */
function useHiding(held: boolean, summoned: number) {
  // The summons it was hidden after; a newer one brings it up again.
  const [hiddenAt, setHiddenAt] = useState(-1);
  const [pinned, setPinned] = useState(false);
  const timer = useRef(0);
  const up = pinned || hiddenAt < summoned;
  const later = useEffectEvent((ms: number) => {
    clearTimeout(timer.current);
    timer.current = window.setTimeout(() => {
      setPinned(false);
      setHiddenAt(summoned);
    }, ms);
  });
  useEffect(() => {
    later(staysAtFirst);
    return () => clearTimeout(timer.current);
  }, [summoned]);
  const show = () => {
    clearTimeout(timer.current);
    setPinned(true);
  };
  const hide = (ms: number) => {
    clearTimeout(timer.current);
    timer.current = window.setTimeout(() => {
      setPinned(false);
      setHiddenAt(summoned);
    }, ms);
  };
  return { open: up || held, show, hide: () => hide(staysAfter), toggle: () => (up ? hide(0) : show()) };
}
