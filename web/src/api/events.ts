// Server-sent events. The browser's EventSource reconnects by itself with Last-Event-ID; what it gives up on (an answer
// other than 200, as from a proxy while the daemon restarts) is begun again here.
import { noteTime } from './clock';
import type { Event, EventType } from './types';

const types: EventType[] = ['session.created', 'session.updated', 'session.state', 'boot.phase'];
const retryAfter = 3000;

export interface Follow {
  event(e: Event): void;
  /** Called at each (re)connection: what happened before it may have been missed. */
  open(): void;
  /** Called when the stream breaks. */
  broken(): void;
}

/** follow opens the stream at path; the function it gives ends it. */
export function follow(path: string, on: Follow): () => void {
  let source: EventSource | null = null;
  let timer = 0;
  let last = '';

  const open = () => {
    source = new EventSource(last ? `${path}?after=${last}` : path);
    source.onopen = () => on.open();
    for (const type of types) {
      source.addEventListener(type, (m: MessageEvent<string>) => {
        last = m.lastEventId || last;
        const e = read(m.data);
        if (!e) return;
        noteTime(e.at);
        on.event(e);
      });
    }
    source.onerror = () => {
      on.broken();
      if (source?.readyState !== EventSource.CLOSED) return;
      source.close();
      timer = window.setTimeout(open, retryAfter);
    };
  };
  open();
  return () => {
    clearTimeout(timer);
    source?.close();
  };
}

function read(text: string): Event | null {
  try {
    const e = JSON.parse(text) as Partial<Event>;
    return typeof e.session_id === 'string' && typeof e.type === 'string' ? (e as Event) : null;
  } catch {
    return null;
  }
}
