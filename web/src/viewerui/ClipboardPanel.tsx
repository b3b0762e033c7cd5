import { useState } from 'react';
import { CopyButton } from '../ui/buttons';
import { toast } from '../ui/toast';
import type { Engine } from '../viewer/engine';
import { inControl, type Snapshot } from '../viewer/snapshot';
import { PanelBox } from './PanelBox';

/** Text both ways, for where the browser lets nothing through by itself. */
export function ClipboardPanel({ engine, snapshot: s }: { engine: Engine; snapshot: Snapshot }) {
  const [text, setText] = useState('');
  const me = inControl(s);
  const send = (t: string) => {
    engine.paste(t);
    toast('It is on the desktop’s clipboard.', { tone: 'good' });
  };
  const readMine = async () => {
    const mine = await engine.readClipboard();
    if (mine === null)
      toast('This browser does not let a page read the clipboard here. Paste into the field.', {
        tone: 'bad',
      });
    else if (mine) send(mine);
  };
  return (
    <PanelBox title="Clipboard">
      <label className="field">
        <span>To the desktop</span>
        <textarea
          rows={3}
          value={text}
          disabled={!me}
          placeholder={
            me ? 'Type or paste here. Ctrl V in the desktop works too.' : 'Only for who is in control'
          }
          onChange={(e) => setText(e.target.value)}
        />
      </label>
      <div className="actions">
        <button
          className="btn btn-small btn-primary"
          disabled={!me || text === ''}
          onClick={() => {
            send(text);
            setText('');
          }}
        >
          Send
        </button>
        {window.isSecureContext && (
          <button className="btn btn-small" disabled={!me} onClick={() => void readMine()}>
            Send my clipboard
          </button>
        )}
      </div>
      <div className="field">
        <span>From the desktop {s.copied?.written && <small>(on your clipboard already)</small>}</span>
        <pre className="copied">{s.copied ? s.copied.text.slice(0, 2000) : 'Nothing was copied yet.'}</pre>
      </div>
      {s.copied && <CopyButton text={s.copied.text} />}
    </PanelBox>
  );
}
