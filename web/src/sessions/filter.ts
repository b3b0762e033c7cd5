// Which sessions the list shows. Pure.
import { over, type Session } from '../api/types';
import { titleOf } from '../ui/Chip';

export type Show = 'all' | 'live' | 'failed' | 'ended';

export function counts(all: readonly Session[]): Record<Show, number> {
  return {
    all: all.length,
    live: all.filter((s) => !over(s.state)).length,
    failed: all.filter((s) => s.state === 'failed').length,
    ended: all.filter((s) => s.state === 'ended').length,
  };
}

/** Every word must be found somewhere in what the row shows. */
export function select(all: readonly Session[], show: Show, words: string): Session[] {
  const wanted = words.toLowerCase().split(/\s+/).filter(Boolean);
  return all.filter((s) => {
    if (show === 'live' && over(s.state)) return false;
    if ((show === 'failed' || show === 'ended') && s.state !== show) return false;
    const text = [
      titleOf(s),
      s.id,
      s.state,
      s.user_id,
      s.runtime,
      s.isolation,
      s.image.ref,
      s.address,
      s.failure?.code,
    ]
      .concat(Object.values(s.metadata))
      .join(' ')
      .toLowerCase();
    return wanted.every((w) => text.includes(w));
  });
}
