// What can be done to sessions from more than one page.
import { useMutation, useQueryClient } from '@tanstack/react-query';
import { useNavigate } from '@tanstack/react-router';
import { api } from '../api/client';
import { putSession } from '../api/queries';
import type { CreateSession, Session } from '../api/types';
import { toast } from '../ui/toast';
import { newKey } from './wish';

/** useCreate starts a desktop and goes to it; the viewer opens by itself when it is ready. */
export function useCreate() {
  const client = useQueryClient();
  const navigate = useNavigate();
  return useMutation({
    mutationFn: (wish: CreateSession) => api.create(wish, newKey()),
    onSuccess: (s) => {
      putSession(client, s);
      void navigate({ to: '/sessions/$id', params: { id: s.id }, search: { view: 'webrtc' } });
    },
  });
}

/** again is the wish that made a session, as far as the session tells it. */
export function again(s: Session): CreateSession {
  return {
    kind: s.kind,
    user_id: s.user_id,
    image: s.image.ref,
    runtime: s.runtime,
    vcpu: s.vcpu,
    memory_mb: s.memory_mb,
    viewport: s.viewport,
    ...(s.start_url === null ? {} : { start_url: s.start_url }),
    timeout_seconds: s.timeout_seconds,
    idle_timeout_seconds: s.idle_timeout_seconds,
    metadata: s.metadata,
  };
}

export function useEnd() {
  const client = useQueryClient();
  return useMutation({
    mutationFn: (id: string) => api.end(id),
    onSuccess: (s) => putSession(client, s),
    onError: (e) => toast(e.message, { tone: 'bad' }),
  });
}
