// Short names for the generated types. Nothing is described twice: what is not in api/openapi.yaml is not here.
import type { components } from './schema';

type S = components['schemas'];

export type Session = S['Session'];
export type SessionState = S['SessionState'];
export type SessionList = S['SessionList'];
export type CreateSession = S['CreateSession'];
export type Bundle = S['Bundle'];
export type Boot = S['Boot'];
export type Phase = S['Phase'];
export type PhaseName = S['PhaseName'];
export type Failure = S['Failure'];
export type EndedReason = S['EndedReason'];
export type Isolation = S['Isolation'];
export type Viewport = S['Viewport'];
export type Event = S['Event'];
export type EventType = S['EventType'];
export type Me = S['Me'];
export type Ticket = S['Ticket'];
export type RedeemedTicket = S['RedeemedTicket'];
export type Status = S['Status'];
export type Doctor = S['Doctor'];
export type Finding = S['Finding'];
export type Verdict = S['Verdict'];
export type RuntimeStatus = S['RuntimeStatus'];
export type ImageList = S['ImageList'];
export type ErrorDetail = S['ErrorDetail'];

/** Over says whether nothing follows the state. */
export const over = (state: SessionState): boolean => state === 'ended' || state === 'failed';
