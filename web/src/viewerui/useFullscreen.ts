import { useEffect, useState, type RefObject } from 'react';

/** In full screen the browser's own shortcuts (Ctrl+W, Ctrl+T, Escape) can go to the desktop too. */
interface KeyboardLock {
  lock?(): Promise<void>;
  unlock?(): void;
}

export interface Fullscreen {
  possible: boolean;
  on: boolean;
  toggle: () => void;
}

export function useFullscreen(element: RefObject<HTMLElement | null>): Fullscreen {
  const [on, setOn] = useState(false);
  useEffect(() => {
    const changed = () => setOn(document.fullscreenElement !== null);
    document.addEventListener('fullscreenchange', changed);
    return () => document.removeEventListener('fullscreenchange', changed);
  }, []);
  const toggle = () => {
    const keyboard = (navigator as { keyboard?: KeyboardLock }).keyboard;
    if (document.fullscreenElement) {
      keyboard?.unlock?.();
      void document.exitFullscreen();
      return;
    }
    void element.current
      ?.requestFullscreen({ navigationUI: 'hide' })
      .then(() => keyboard?.lock?.())
      .catch(() => undefined); // refused by the browser or the person: nothing changes
  };
  // iPhones have no full screen for a page's element.
  return { possible: document.fullscreenEnabled, on, toggle };
}
