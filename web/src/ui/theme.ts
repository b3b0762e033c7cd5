// Dark and light: the system's choice until the person makes one. public/theme.js does the same before the first paint.
import { useSyncExternalStore } from 'react';

export type Theme = 'system' | 'light' | 'dark';
const key = 'vitrine.theme';
const listeners = new Set<() => void>();

function get(): Theme {
  const v = read();
  return v === 'light' || v === 'dark' ? v : 'system';
}

function read(): string | null {
  try {
    return localStorage.getItem(key);
  } catch {
    return null; // storage is forbidden in this browser: the system's choice
  }
}

export function setTheme(theme: Theme): void {
  try {
    if (theme === 'system') localStorage.removeItem(key);
    else localStorage.setItem(key, theme);
  } catch {
    // Not kept then.
  }
  if (theme === 'system') delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  for (const f of listeners) f();
}

export function useTheme(): Theme {
  return useSyncExternalStore((f) => {
    listeners.add(f);
    return () => listeners.delete(f);
  }, get);
}
