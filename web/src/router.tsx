import {
  createRootRouteWithContext,
  createRoute,
  createRouter,
  Link,
  Outlet,
  redirect,
} from '@tanstack/react-router';
import { useQueryClient, type QueryClient } from '@tanstack/react-query';
import { useEffect } from 'react';
import { ApiError } from './api/client';
import { follow } from './api/events';
import { apply, meQuery, sessionsQuery } from './api/queries';
import { HostPage } from './pages/HostPage';
import { Login } from './pages/Login';
import { SessionPage } from './pages/SessionPage';
import { Sessions } from './pages/Sessions';
import { ViewPage } from './pages/ViewPage';
import { Mark } from './ui/icons';
import { Problem } from './ui/Problem';
import { Toasts } from './ui/toast';

/** How a desktop is opened, kept in the address so that a reload opens it the same way. */
export interface ViewSearch {
  /** The viewer is open, by the ladder or by noVNC only; without it the session's page shows. */
  view?: 'webrtc' | 'novnc';
  /** How the picture meets the tab at first (viewer/geometry.ts); by default `match`. */
  sizing?: 'match' | 'fit' | 'actual';
  /** Ask for this codec only, where the browser has it. */
  codec?: 'vp8' | 'h264';
  /** `relay`: offer relayed candidates only, to try TURN. */
  ice?: 'relay';
}

function viewSearch(raw: Record<string, unknown>): ViewSearch {
  const out: ViewSearch = {};
  if (raw.view === 'webrtc' || raw.view === 'novnc') out.view = raw.view;
  if (raw.sizing === 'match' || raw.sizing === 'fit' || raw.sizing === 'actual') out.sizing = raw.sizing;
  if (raw.codec === 'vp8' || raw.codec === 'h264') out.codec = raw.codec;
  if (raw.ice === 'relay') out.ice = raw.ice;
  return out;
}

const root = createRootRouteWithContext<{ client: QueryClient }>()({
  component: () => (
    <>
      <Outlet />
      <Toasts />
    </>
  ),
  errorComponent: ({ error, reset }) => (
    <main className="door">
      <section className="card door-card">
        <Mark size={48} />
        <Problem error={error} onRetry={reset} />
      </section>
    </main>
  ),
  notFoundComponent: () => (
    <main className="door">
      <section className="card door-card">
        <Mark size={48} />
        <h1>Nothing here</h1>
        <Link className="btn" to="/">
          All sessions
        </Link>
      </section>
    </main>
  ),
});

const login = createRoute({ getParentRoute: () => root, path: '/login', component: Login });

const view = createRoute({
  getParentRoute: () => root,
  path: '/view/$id',
  validateSearch: viewSearch,
  component: ViewPage,
});

/** Everything that needs a login. */
const app = createRoute({
  getParentRoute: () => root,
  id: 'app',
  beforeLoad: async ({ context }) => {
    try {
      await context.client.query({ ...meQuery, staleTime: 'static' });
    } catch (e) {
      if (e instanceof ApiError && e.status === 401) throw redirect({ to: '/login' });
      throw e;
    }
  },
  component: App,
});

/** One stream of events for all pages of the dashboard. */
function App() {
  const client = useQueryClient();
  useEffect(
    () =>
      follow('/v1/events', {
        event: (e) => apply(client, e),
        open: () =>
          void client.invalidateQueries({
            predicate: (q) => !['me', 'screenshot', 'doctor'].includes(String(q.queryKey[0])),
          }),
        broken: () => void client.invalidateQueries({ queryKey: sessionsQuery.queryKey }),
      }),
    [client],
  );
  return <Outlet />;
}

const sessions = createRoute({ getParentRoute: () => app, path: '/', component: Sessions });
const host = createRoute({ getParentRoute: () => app, path: '/host', component: HostPage });
const session = createRoute({
  getParentRoute: () => app,
  path: '/sessions/$id',
  validateSearch: viewSearch,
  component: SessionPage,
});

export const makeRouter = (client: QueryClient) =>
  createRouter({
    routeTree: root.addChildren([login, view, app.addChildren([sessions, session, host])]),
    context: { client },
    defaultPreload: false,
  });

declare module '@tanstack/react-router' {
  interface Register {
    router: ReturnType<typeof makeRouter>;
  }
}
