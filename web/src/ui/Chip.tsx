import type { ReactNode } from 'react';
import type { Isolation, Session, SessionState } from '../api/types';
import { Icon } from './icons';

const tones: Record<SessionState, string> = {
  pending: 'wait',
  starting: 'wait',
  ready: 'good',
  stopping: 'wait',
  ended: 'calm',
  failed: 'bad',
};

export function StateChip({ state }: { state: SessionState }) {
  return (
    <span className={`chip chip-${tones[state]}`} data-session-state={state}>
      <span className="dot" aria-hidden="true" />
      {state}
    </span>
  );
}

/** What each isolation gives, in words for somebody who chooses. */
export const isolations: Record<Isolation, { name: string; gives: string }> = {
  microvm: {
    name: 'microVM',
    gives: 'A virtual machine with a kernel of its own, on hardware virtualisation. The strongest.',
  },
  'emulated-vm': {
    name: 'Emulated VM',
    gives: 'A virtual machine with a kernel of its own, emulated: as strong, and much slower.',
  },
  gvisor: {
    name: 'gVisor',
    gives:
      'A kernel in user space stands between the machine and the host. Strong, without KVM; somewhat slower.',
  },
  container: {
    name: 'Container',
    gives: "Shares the host's kernel behind a user namespace and seccomp. The fastest; for pages you trust.",
  },
  none: { name: 'No isolation', gives: 'Plain processes on the host. For development only.' },
};

export function IsolationChip({ isolation }: { isolation: Isolation }) {
  const { name, gives } = isolations[isolation];
  return (
    <span className={`chip ${isolation === 'none' ? 'chip-bad' : 'chip-plain'}`} title={gives}>
      <Icon name={isolation === 'none' ? 'alert' : 'shield'} size={14} />
      {name}
    </span>
  );
}

export function Fact({ name, children }: { name: string; children: ReactNode }) {
  return (
    <div className="fact">
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}

/** A session's title: the name it was given, or the end of its id, which tells it from the others. */
export const titleOf = (s: Pick<Session, 'id' | 'metadata' | 'kind'>): string =>
  s.metadata.name ?? `${s.kind === 'terminal' ? 'Terminal' : 'Desktop'} ${s.id.slice(-5)}`;
