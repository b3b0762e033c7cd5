import { useQuery } from '@tanstack/react-query';
import { useEffect, useMemo } from 'react';
import { api } from '../api/client';
import { Mark } from '../ui/icons';

/** A fresh picture this often, and only while the tab is in front: it costs the machine a moment each time. */
const renewEvery = 15_000;

/** What the desktop shows right now. */
export function Thumbnail({ id, live }: { id: string; live: boolean }) {
  const shot = useQuery({
    queryKey: ['screenshot', id],
    queryFn: () => api.screenshot(id),
    enabled: live,
    refetchInterval: renewEvery,
    staleTime: renewEvery / 2,
    retry: false,
  });
  const blob = shot.data;
  const url = useMemo(() => (blob ? URL.createObjectURL(blob) : ''), [blob]);
  useEffect(() => () => URL.revokeObjectURL(url), [url]);
  return (
    <div className="thumb" data-live={live}>
      {live && url ? <img src={url} alt="" draggable={false} /> : <Mark size={40} />}
    </div>
  );
}
