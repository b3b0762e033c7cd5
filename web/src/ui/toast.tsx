// Short notices in a corner. A plain store, so that code outside React (the viewer engine's callbacks) can speak too.
import { useSyncExternalStore } from 'react';
import { Icon } from './icons';

export interface Toast {
  id: number;
  text: string;
  tone: 'info' | 'good' | 'bad';
  action?: { label: string; run: () => void };
}

let toasts: readonly Toast[] = [];
let counter = 0;
const listeners = new Set<() => void>();
const most = 4;
const stays = 6000;
const staysWithAction = 15000;

function publish(next: readonly Toast[]): void {
  toasts = next;
  for (const f of listeners) f();
}

export function dismiss(id: number): void {
  publish(toasts.filter((t) => t.id !== id));
}

/** toast shows a notice for some seconds; the same words twice show once. */
export function toast(text: string, options: { tone?: Toast['tone']; action?: Toast['action'] } = {}): void {
  const id = ++counter;
  const { tone = 'info', action } = options;
  const rest = toasts.filter((t) => t.text !== text).slice(-(most - 1));
  publish([...rest, { id, text, tone, ...(action ? { action } : {}) }]);
  window.setTimeout(() => dismiss(id), action ? staysWithAction : stays);
}

function subscribe(f: () => void): () => void {
  listeners.add(f);
  return () => listeners.delete(f);
}

export function Toasts() {
  const list = useSyncExternalStore(subscribe, () => toasts);
  return (
    <div className="toasts" role="status" aria-live="polite">
      {list.map((t) => (
        <div key={t.id} className={`toast toast-${t.tone}`}>
          <span>{t.text}</span>
          {t.action && (
            <button
              className="btn btn-small"
              onClick={() => {
                t.action?.run();
                dismiss(t.id);
              }}
            >
              {t.action.label}
            </button>
          )}
          <button className="icon-btn icon-btn-small" aria-label="Dismiss" onClick={() => dismiss(t.id)}>
            <Icon name="close" size={16} />
          </button>
        </div>
      ))}
    </div>
  );
}
