import { useEffect, useEffectEvent, useState, useSyncExternalStore, type RefObject } from 'react';
import { api, ApiError } from '../api/client';
import { over } from '../api/types';
import { Engine } from '../viewer/engine';
import type { Check, EngineOptions, Notice } from '../viewer/host';
import { initial, type Snapshot } from '../viewer/snapshot';

/** check asks the daemon what became of a session whose signal socket was refused. */
export async function check(id: string): Promise<Check> {
  try {
    const s = await api.session(id);
    if (!over(s.state)) return { is: 'alive' };
    return { is: 'over', state: s.state, reason: s.ended_reason ?? '', failure: s.failure };
  } catch (e) {
    const refused = e instanceof ApiError && [401, 403, 404].includes(e.status);
    return { is: refused ? 'refused' : 'unreachable' };
  }
}

/** useEngine runs one viewer engine on an element for as long as the component is there. */
export function useEngine(
  stage: RefObject<HTMLElement | null>,
  options: Omit<EngineOptions, 'check' | 'notice' | 'shortcut'>,
  on: { notice: (n: Notice, engine: Engine) => void; shortcut: (letter: string) => void },
): { engine: Engine | null; snapshot: Snapshot } {
  const [holder] = useState(() => new Holder());
  const engine = useSyncExternalStore(holder.subscribe, holder.get);
  const [blank] = useState(() => initial(options.preference, options.sizing));
  const notice = useEffectEvent((n: Notice, e: Engine) => on.notice(n, e));
  const shortcut = useEffectEvent((letter: string) => on.shortcut(letter));
  const begin = useEffectEvent((element: HTMLElement) => {
    const made: Engine = new Engine(element, {
      ...options,
      check: () => check(options.sessionId),
      notice: (n) => notice(n, made),
      shortcut: (letter) => shortcut(letter),
    });
    return made;
  });

  useEffect(() => {
    if (!stage.current) return;
    const made = begin(stage.current);
    holder.set(made);
    made.focus();
    return () => {
      made.close();
      holder.set(null);
    };
  }, [stage, holder, options.sessionId]);

  const snapshot = useSyncExternalStore(
    (f) => engine?.subscribe(f) ?? (() => undefined),
    () => engine?.snapshot() ?? blank,
  );
  return { engine, snapshot };
}

/** The engine lives outside React, made when its element is there; this is where React looks for it. */
class Holder {
  private engine: Engine | null = null;
  private readonly listeners = new Set<() => void>();

  readonly get = (): Engine | null => this.engine;
  readonly subscribe = (f: () => void): (() => void) => {
    this.listeners.add(f);
    return () => this.listeners.delete(f);
  };

  set(engine: Engine | null): void {
    this.engine = engine;
    for (const f of this.listeners) f();
  }
}
