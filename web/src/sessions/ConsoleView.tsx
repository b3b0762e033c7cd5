import { useQuery } from '@tanstack/react-query';
import { useEffect, useRef } from 'react';
import { api } from '../api/client';
import { Problem } from '../ui/Problem';

/** The machine's console: its last lines, followed while it runs. */
export function ConsoleView({ id, live }: { id: string; live: boolean }) {
  const console = useQuery({
    queryKey: ['console', id],
    queryFn: () => api.console(id),
    refetchInterval: live ? 2000 : false,
    retry: false,
  });
  const box = useRef<HTMLPreElement>(null);
  useEffect(() => {
    const el = box.current;
    if (el) el.scrollTop = el.scrollHeight;
  }, [console.data]);
  if (console.error) return <Problem error={console.error} />;
  return (
    <pre className="console" ref={box} tabIndex={0} aria-label="Console">
      {console.data === '' ? 'The machine has printed nothing.' : console.data}
    </pre>
  );
}
