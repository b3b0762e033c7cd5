import type { Path } from '../viewer/protocol';
import type { Snapshot } from '../viewer/snapshot';

export const pathNames: Record<Path, string> = {
  udp: 'UDP',
  tcp: 'TCP',
  turn: 'TURN',
  novnc: 'noVNC',
  none: 'not connected',
};

/** A viewer's name for the others: the user, with a number when one user has several tabs. */
export function nameOf(s: Snapshot, id: string): string {
  const viewer = s.viewers.find((v) => v.id === id);
  if (!viewer) return 'Somebody';
  const user = viewer.user_id || 'Guest';
  const same = s.viewers.filter((v) => v.user_id === viewer.user_id);
  return same.length > 1 ? `${user} ${same.findIndex((v) => v.id === id) + 1}` : user;
}
