import { describe, expect, test } from 'vitest';
import { merge, withPhase } from '../api/queries';
import type { Boot, Phase, Session } from '../api/types';
import { command, memory, pieces, span, took } from '../ui/format';
import { again } from './actions';
import { counts, select } from './filter';
import { reasonOf } from './reasons';
import { session } from './fixture';
import { lay } from './timeline';
import { defaults, newKey, startURL, wishOf } from './wish';

describe('the wish', () => {
  test('nothing set: the host decides everything', () => {
    expect(wishOf(defaults)).toEqual({ wish: { kind: 'desktop' }, problems: {} });
  });

  test('all set', () => {
    const o = {
      name: ' Work ',
      start_url: 'example.com',
      image: 'desktop',
      runtime: 'gvisor',
      memory_mb: '2048',
      vcpu: '2',
      width: '1280',
      height: '720',
      timeout_minutes: '60',
      idle_minutes: '0',
    };
    expect(wishOf(o)).toEqual({
      wish: {
        kind: 'desktop',
        metadata: { name: 'Work' },
        start_url: 'https://example.com',
        image: 'desktop',
        runtime: 'gvisor',
        memory_mb: 2048,
        vcpu: 2,
        viewport: { width: 1280, height: 720 },
        timeout_seconds: 3600,
        idle_timeout_seconds: 0,
      },
      problems: {},
    });
  });

  test.each([
    ['letters for memory', { memory_mb: 'lots' }, 'memory_mb'],
    ['half a processor', { vcpu: '0.5' }, 'vcpu'],
    ['a negative timeout', { timeout_minutes: '-1' }, 'timeout_minutes'],
    ['a width without a height', { width: '1280' }, 'height'],
    ['a screen of one pixel', { width: '1', height: '1' }, 'width'],
    ['a page on this computer', { start_url: 'file:///etc/passwd' }, 'start_url'],
  ])('%s is said at its field', (_, change, field) => {
    expect(Object.keys(wishOf({ ...defaults, ...change }).problems)).toContain(field);
  });

  test.each([
    ['', ''],
    ['example.com', 'https://example.com'],
    ['localhost:8080/x', 'https://localhost:8080/x'],
    ['http://10.0.0.1/', 'http://10.0.0.1/'],
    ['about:blank', 'about:blank'],
    ['data:text/html,hi', 'data:text/html,hi'],
    ['javascript:alert(1)', null],
    ['ftp://x', null],
    ['http://', null],
    ['data:' + 'x'.repeat(9000), null],
  ])('a start page of %j', (text, want) => {
    expect(startURL(text)).toBe(want);
  });

  test('trying again keeps what was wished', () => {
    const s = session({
      runtime: 'container',
      memory_mb: 4096,
      start_url: 'https://example.com/',
      metadata: { name: 'A' },
    });
    expect(again(s)).toMatchObject({
      kind: 'desktop',
      runtime: 'container',
      memory_mb: 4096,
      start_url: 'https://example.com/',
      metadata: { name: 'A' },
    });
  });

  test('keys for a safe retry differ', () => {
    expect(newKey()).not.toBe(newKey());
    expect(newKey()).toMatch(/^web-[0-9a-f]{32}$/);
  });
});

const phase = (name: Phase['name'], at: number, ms: number, outcome: Phase['outcome'] = 'ok'): Phase => ({
  name,
  started_at: new Date(at).toISOString(),
  duration_ms: ms,
  outcome,
  detail: '',
});

describe('the boot timeline', () => {
  test('a running phase grows with the clock; what is to come is there', () => {
    const { bars, passed } = lay(
      [phase('admission', 1000, 10), phase('machine', 1010, 0, 'running')],
      2010,
      true,
    );
    expect(passed).toBe(1010);
    expect(bars.find((b) => b.name === 'machine')).toMatchObject({ outcome: 'running', ms: 1000 });
    expect(bars.filter((b) => b.outcome === 'waiting').map((b) => b.name)).toEqual([
      'placement',
      'image',
      'network',
      'agent',
      'display',
      'browser',
    ]);
    expect(Math.max(...bars.map((b) => b.from + b.width))).toBeLessThan(1);
  });

  test('when it is over the last bar ends at the edge, and nothing waits', () => {
    const { bars, axis } = lay([phase('admission', 0, 100), phase('browser', 100, 1900)], 99999, false);
    expect(axis).toBe(2000);
    expect(bars).toHaveLength(2);
    expect(bars[1]).toMatchObject({ from: 0.05, width: 0.95 });
  });

  test('a phase whose end was missed ends where the next began', () => {
    const { bars } = lay([phase('placement', 0, 0, 'running'), phase('image', 40, 60)], 5000, true);
    expect(bars.find((b) => b.name === 'placement')).toMatchObject({ outcome: 'ok', ms: 40 });
  });

  test('kernel and init show only where there are some', () => {
    expect(lay([], 0, true).bars.map((b) => b.name)).not.toContain('kernel');
    expect(lay([phase('kernel', 0, 5)], 5, false).bars.map((b) => b.name)).toEqual(['kernel']);
  });

  test('events fill the ledger, in whatever order', () => {
    const empty: Boot = { session_id: 's', phases: [], total_ms: 0, failure: null };
    const one = withPhase(empty, phase('admission', 1000, 0, 'running'));
    const two = withPhase(one, phase('admission', 1000, 10));
    const three = withPhase(two, phase('placement', 1010, 5));
    expect(three.phases.map((p) => [p.name, p.outcome])).toEqual([
      ['admission', 'ok'],
      ['placement', 'ok'],
    ]);
    expect(three.total_ms).toBe(15);
  });
});

describe('the list', () => {
  const all = [
    session({ id: 'ses_1', state: 'ready', metadata: { name: 'Research' } }),
    session({ id: 'ses_2', state: 'starting' }),
    session({
      id: 'ses_3',
      state: 'failed',
      failure: {
        code: 'guest_oom',
        phase: 'browser',
        message: '',
        remedy: '',
        retryable: false,
        evidence: [],
      },
    }),
    session({ id: 'ses_4', state: 'ended' }),
  ];
  const ids = (list: Session[]) => list.map((s) => s.id);

  test('filters by state and by every word', () => {
    expect(counts(all)).toEqual({ all: 4, live: 2, failed: 1, ended: 1 });
    expect(ids(select(all, 'live', ''))).toEqual(['ses_1', 'ses_2']);
    expect(ids(select(all, 'all', 'OOM'))).toEqual(['ses_3']);
    expect(ids(select(all, 'all', 'research gvisor'))).toEqual(['ses_1']);
    expect(ids(select(all, 'ended', 'research'))).toEqual([]);
  });

  test('an event replaces a session where it stands, or puts a new one on top', () => {
    const pages = [
      { sessions: all.slice(0, 2), next_cursor: 'ses_2' },
      { sessions: all.slice(2), next_cursor: null },
    ];
    const changed = merge(pages, session({ id: 'ses_3', state: 'ended' }));
    expect(changed[1]?.sessions[0]?.state).toBe('ended');
    expect(ids(merge(pages, session({ id: 'ses_5' }))[0]?.sessions ?? [])).toEqual([
      'ses_5',
      'ses_1',
      'ses_2',
    ]);
  });

  test('a reason that this page does not know is no crash', () => {
    expect(reasonOf('expired')).toBe('Its time was up.');
    expect(reasonOf('abducted')).toBe('The session is over.');
    expect(reasonOf(null)).toBe('The session is over.');
  });
});

test('numbers in words', () => {
  expect([500, 61_000, 3_700_000, 200_000_000].map(span)).toEqual(['0 s', '1 min', '1 h', '2 d']);
  expect([4.21, 180.4, 1240].map(took)).toEqual(['4.2 ms', '180 ms', '1.24 s']);
  expect([512, 2048, 2560].map(memory)).toEqual(['512 MiB', '2 GiB', '2.5 GiB']);
});

test.each([
  ['run `vitrine doctor`; it names the program', 'vitrine doctor'],
  ['vitrine image build desktop', 'vitrine image build desktop'],
  ['start a new session', ''],
])('what can be typed of %j', (remedy, typed) => {
  expect(command(remedy)).toBe(typed);
});

test('a remedy is cut into words and commands', () => {
  expect(pieces('end one (`vitrine session rm ID`) or wait')).toEqual([
    { text: 'end one (', code: false },
    { text: 'vitrine session rm ID', code: true },
    { text: ') or wait', code: false },
  ]);
});
