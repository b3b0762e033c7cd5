import { useEffect, useEffectEvent, useState, useSyncExternalStore } from 'react';

/** The time, renewed every `ms`; 0 stops the clock. */
export function useNow(ms: number): number {
  const [now, setNow] = useState(() => Date.now());
  useEffect(() => {
    if (ms === 0) return;
    const timer = window.setInterval(() => setNow(Date.now()), ms);
    return () => clearInterval(timer);
  }, [ms]);
  return now;
}

/** Single-key shortcuts of a page; not while somebody types, and not with a modifier. */
export function useShortcuts(keys: Record<string, () => void>): void {
  const press = useEffectEvent((e: KeyboardEvent) => {
    if (e.ctrlKey || e.metaKey || e.altKey || e.repeat) return;
    const target = e.target as HTMLElement | null;
    if (target?.closest('input, textarea, select, dialog, [contenteditable]')) return;
    const run = keys[e.key];
    if (!run) return;
    e.preventDefault();
    run();
  });
  useEffect(() => {
    const listen = (e: KeyboardEvent) => press(e);
    addEventListener('keydown', listen);
    return () => removeEventListener('keydown', listen);
  }, []);
}

export function useMedia(query: string): boolean {
  return useSyncExternalStore(
    (f) => {
      const list = matchMedia(query);
      list.addEventListener('change', f);
      return () => list.removeEventListener('change', f);
    },
    () => matchMedia(query).matches,
  );
}

export function useTitle(title: string): void {
  useEffect(() => {
    document.title = title ? `${title} · Vitrine` : 'Vitrine';
  }, [title]);
}
