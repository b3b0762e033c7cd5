import type { EndedReason } from '../api/types';

/** Why a session is over, for a person. */
export const reasons: Record<EndedReason, string> = {
  stopped_by_user: 'It was ended by hand.',
  expired: 'Its time was up.',
  idle: 'Nobody used it for as long as its idle timeout allows.',
  failed_to_start: 'It did not start.',
  guest_oom: 'Its machine ran out of memory.',
  machine_exited: 'Its machine stopped by itself.',
  browser_crashed: 'Its browser crashed.',
  node_lost: 'The host restarted, and the machine went with it.',
  quota: 'A quota ended it.',
};

export const reasonOf = (r: string | null): string =>
  r !== null && r in reasons ? reasons[r as EndedReason] : 'The session is over.';
