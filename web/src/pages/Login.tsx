import { useQueryClient } from '@tanstack/react-query';
import { useNavigate } from '@tanstack/react-router';
import { useEffect, useRef, useState } from 'react';
import { api } from '../api/client';
import { CopyButton } from '../ui/buttons';
import { useTitle } from '../ui/hooks';
import { Mark } from '../ui/icons';
import { Problem } from '../ui/Problem';
import { ThemeButton } from '../ui/Shell';

const howTo = 'vitrine login-link';

/** /login#TOKEN turns the one-time link into a cookie; without a token it says how to get a link. */
export function Login() {
  const navigate = useNavigate();
  const client = useQueryClient();
  const [error, setError] = useState<unknown>(null);
  const [busy, setBusy] = useState(() => location.hash.length > 1);
  const begun = useRef('');
  useTitle('Log in');

  useEffect(() => {
    const enter = async () => {
      const token = decodeURIComponent(location.hash.slice(1));
      if (!token || begun.current === token) return;
      begun.current = token;
      // The token works once; it is taken out of the address and the history all the same.
      history.replaceState(history.state, '', location.pathname);
      setBusy(true);
      setError(null);
      try {
        client.setQueryData(['me'], await api.login(token));
        await navigate({ to: '/' });
      } catch (e) {
        setError(e);
        setBusy(false);
      }
    };
    const again = () => void enter();
    again();
    addEventListener('hashchange', again);
    return () => removeEventListener('hashchange', again);
  }, [client, navigate]);

  return (
    <main className="door">
      <div className="door-theme">
        <ThemeButton />
      </div>
      <section className="card door-card">
        <Mark size={48} />
        <h1>Vitrine</h1>
        {busy ? (
          <p className="muted" role="status">
            Logging in…
          </p>
        ) : (
          <>
            {error !== null && <Problem error={error} />}
            <p>You need a login link. On the server, type</p>
            <div className="command">
              <code>{howTo}</code>
              <CopyButton text={howTo} />
            </div>
            <p className="muted">
              and open the link it prints. It works once, for a few minutes, and this browser stays logged in.
            </p>
          </>
        )}
      </section>
    </main>
  );
}
