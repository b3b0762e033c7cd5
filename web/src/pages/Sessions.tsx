import { useInfiniteQuery } from '@tanstack/react-query';
import { useRef, useState } from 'react';
import { sessionsQuery } from '../api/queries';
import { over } from '../api/types';
import { useCreate, useEnd } from '../sessions/actions';
import { counts, select, type Show } from '../sessions/filter';
import { HostMeter } from '../sessions/HostMeter';
import { NewDesktop } from '../sessions/NewDesktop';
import { PastRow } from '../sessions/PastRow';
import { SessionCard } from '../sessions/SessionCard';
import { remembered, wishOf } from '../sessions/wish';
import { useNow, useShortcuts, useTitle } from '../ui/hooks';
import { Problem } from '../ui/Problem';
import { Dialog, Shell } from '../ui/Shell';

const shows: { show: Show; label: string }[] = [
  { show: 'all', label: 'All' },
  { show: 'live', label: 'Live' },
  { show: 'failed', label: 'Failed' },
  { show: 'ended', label: 'Ended' },
];

export function Sessions() {
  const query = useInfiniteQuery(sessionsQuery);
  const create = useCreate();
  const end = useEnd();
  const now = useNow(1000);
  const [show, setShow] = useState<Show>('all');
  const [words, setWords] = useState('');
  const [help, setHelp] = useState(false);
  const search = useRef<HTMLInputElement>(null);
  useTitle('');
  useShortcuts({
    n: () => !create.isPending && create.mutate(wishOf(remembered()).wish),
    '/': () => search.current?.focus(),
    '?': () => setHelp(true),
  });

  const all = query.data?.pages.flatMap((p) => p.sessions) ?? [];
  const found = select(all, show, words);
  const live = found.filter((s) => !over(s.state));
  const past = found.filter((s) => over(s.state));
  const count = counts(all);
  const showAll = () => {
    setWords('');
    setShow('all');
  };

  return (
    <Shell aside={<HostMeter />} onHelp={() => setHelp(true)}>
      <NewDesktop create={create} />

      {query.error && all.length === 0 && (
        <Problem error={query.error} onRetry={() => void query.refetch()} />
      )}
      {query.isSuccess && all.length === 0 && <Empty />}

      {all.length > 0 && (
        <div className="filters">
          <div className="segments" role="group" aria-label="Show">
            {shows.map((s) => (
              <button key={s.show} aria-pressed={show === s.show} onClick={() => setShow(s.show)}>
                {s.label} <span className="count">{count[s.show]}</span>
              </button>
            ))}
          </div>
          <input
            ref={search}
            type="search"
            className="search"
            placeholder="Filter"
            aria-label="Filter sessions"
            aria-keyshortcuts="/"
            value={words}
            onChange={(e) => setWords(e.target.value)}
            onKeyDown={(e) => {
              if (e.key !== 'Escape') return;
              setWords('');
              e.currentTarget.blur();
            }}
          />
        </div>
      )}

      {live.length > 0 && (
        <section aria-label="Live sessions" className="grid">
          {live.map((s) => (
            <SessionCard key={s.id} session={s} now={now} onEnd={() => end.mutate(s.id)} />
          ))}
        </section>
      )}
      {past.length > 0 && (
        <section aria-label="Past sessions" className="pasts">
          {past.map((s) => (
            <PastRow key={s.id} session={s} now={now} />
          ))}
        </section>
      )}
      {all.length > 0 && found.length === 0 && (
        <p className="muted nothing">
          Nothing matches.{' '}
          <button className="link" onClick={showAll}>
            Show all
          </button>
        </p>
      )}
      {query.hasNextPage && (
        <button
          className="btn older"
          disabled={query.isFetchingNextPage}
          onClick={() => void query.fetchNextPage()}
        >
          Show older
        </button>
      )}
      {help && <Help onClose={() => setHelp(false)} />}
    </Shell>
  );
}

function Empty() {
  return (
    <section className="empty">
      <div className="case" aria-hidden="true">
        <div className="case-glass" />
      </div>
      <h2>Nothing on show yet</h2>
      <p className="muted">
        Start a desktop: a second or two later Chromium runs in an isolated machine on this server, and you
        drive it from this tab.
      </p>
    </section>
  );
}

export const keys: [string, string][] = [
  ['N', 'New desktop'],
  ['/', 'Filter'],
  ['?', 'This help'],
];
export const viewerKeys: [string, string][] = [
  ['Ctrl Alt Shift F', 'Full screen'],
  ['Ctrl Alt Shift M', 'To the toolbar and back'],
  ['Ctrl Alt Shift S', 'Live figures'],
  ['Ctrl Alt Shift C', 'Clipboard'],
  ['Ctrl Alt Shift T', 'Take or let go of control'],
];

function Help({ onClose }: { onClose: () => void }) {
  return (
    <Dialog title="Keyboard shortcuts" onClose={onClose}>
      <KeyList list={keys} />
      <h3>In a desktop</h3>
      <KeyList list={viewerKeys} />
      <p className="muted small">
        Every other key goes to the desktop. In full screen, so do the browser's own, such as Ctrl W.
      </p>
    </Dialog>
  );
}

function KeyList({ list }: { list: [string, string][] }) {
  return (
    <dl className="keys">
      {list.map(([key, means]) => (
        <div key={key}>
          <dt>
            {key.split(' ').map((k) => (
              <kbd key={k}>{k}</kbd>
            ))}
          </dt>
          <dd>{means}</dd>
        </div>
      ))}
    </dl>
  );
}
