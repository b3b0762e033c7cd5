// The viewer as a page: the engine's stage, a dock that hides, and cards for what is not live.
import { useRef, useState } from 'react';
import type { Session } from '../api/types';
import type { ViewSearch } from '../router';
import { titleOf } from '../ui/Chip';
import { useTitle } from '../ui/hooks';
import { toast } from '../ui/toast';
import type { Engine } from '../viewer/engine';
import type { Notice } from '../viewer/host';
import { inControl } from '../viewer/snapshot';
import { Dock, type Panel } from './Dock';
import { Overlay } from './Overlay';
import { useEngine } from './useEngine';
import { useFullscreen } from './useFullscreen';
import { nameOf, pathNames } from './words';

interface Props {
  session: Session;
  options: ViewSearch;
  /** The person manages this session: may end and share it. */
  own: boolean;
  onLeave?: () => void;
}

export function Viewer({ session, options, own, onLeave }: Props) {
  const root = useRef<HTMLDivElement>(null);
  const stage = useRef<HTMLDivElement>(null);
  const dock = useRef<HTMLDivElement>(null);
  const [panel, setPanel] = useState<Panel | null>(null);
  const [summoned, setSummoned] = useState(0);
  const full = useFullscreen(root);
  useTitle(titleOf(session));

  const { engine, snapshot } = useEngine(
    stage,
    {
      sessionId: session.id,
      preference: options.view === 'novnc' ? 'novnc' : 'auto',
      sizing: options.sizing ?? 'match',
      relayOnly: options.ice === 'relay',
      codec: options.codec ?? '',
    },
    { notice: tell, shortcut },
  );

  function shortcut(letter: string): void {
    const toggle = (p: Panel) => {
      setSummoned((n) => n + 1);
      setPanel((was) => (was === p ? null : p));
    };
    if (letter === 'f') full.toggle();
    if (letter === 's') toggle('connection');
    if (letter === 'c') toggle('clipboard');
    if (letter === 't') engine?.control(inControl(snapshot) ? 'release' : 'take');
    if (letter === 'm') {
      setSummoned((n) => n + 1);
      dock.current?.querySelector('button')?.focus();
    }
  }

  return (
    <div className="vt-root" ref={root} data-theme="dark">
      <div
        className="vt-stage"
        ref={stage}
        data-vitrine-viewer={session.id}
        onPointerDown={() => setPanel(null)}
      />
      <Overlay snapshot={snapshot} own={own} session={session} onLeave={onLeave} />
      {engine && snapshot.state !== 'ended' && snapshot.state !== 'refused' && (
        <Dock
          ref={dock}
          engine={engine}
          snapshot={snapshot}
          session={session}
          own={own}
          onLeave={onLeave}
          full={full}
          panel={panel}
          setPanel={setPanel}
          summoned={summoned}
        />
      )}
    </div>
  );
}

/** Notices of the engine, in words. */
function tell(n: Notice, engine: Engine): void {
  switch (n.kind) {
    case 'fallback':
      toast(`On noVNC: ${n.why}. WebRTC is tried again in the background.`);
      break;
    case 'back':
      toast(`Back on WebRTC (${pathNames[n.path]}).`, { tone: 'good' });
      break;
    case 'control-requested':
      toast(`${nameOf(engine.snapshot(), n.viewer)} asks for control.`, {
        action: { label: 'Give control', run: () => engine.control('give', n.viewer) },
      });
      break;
    case 'control-lost': {
      const { controller } = engine.snapshot();
      toast(
        controller ? `${nameOf(engine.snapshot(), controller)} is in control now.` : 'You let go of control.',
      );
      break;
    }
    case 'control-gained':
      toast('You are in control.', { tone: 'good' });
      break;
    case 'error':
      toast(n.message, { tone: 'bad' });
      break;
  }
}
