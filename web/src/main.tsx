import { QueryCache, QueryClient, QueryClientProvider } from '@tanstack/react-query';
import { RouterProvider } from '@tanstack/react-router';
import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';
import { ApiError, isFinal } from './api/client';
import { makeRouter } from './router';
import './styles/tokens.css';
import './styles/base.css';
import './styles/sessions.css';
import './styles/session.css';
import './styles/host.css';
import './styles/viewer.css';

const client: QueryClient = new QueryClient({
  queryCache: new QueryCache({
    onError: (e, query) => {
      // The login ended (or never was): every page but the public ones leads to the door.
      if (
        e instanceof ApiError &&
        e.status === 401 &&
        query.queryKey[0] !== 'me' &&
        !location.pathname.startsWith('/view/')
      ) {
        client.removeQueries({ queryKey: ['me'] });
        void router.navigate({ to: '/login' });
      }
    },
  }),
  defaultOptions: {
    queries: {
      refetchOnWindowFocus: false,
      // The daemon's own "no" is final; no answer at all is tried for as long as the page is open.
      retry: (_, e) => !isFinal(e),
      retryDelay: (n) => Math.min(5000, 400 * 2 ** n),
    },
  },
});
const router = makeRouter(client);

const element = document.getElementById('root');
if (!element) throw new Error('index.html has no #root');
createRoot(element).render(
  <StrictMode>
    <QueryClientProvider client={client}>
      <RouterProvider router={router} />
    </QueryClientProvider>
  </StrictMode>,
);
