import { describe, expect, test } from 'vitest';
import { bottom, step, wakeAt, type Effect, type Ladder, type LadderEvent, type Preference } from './ladder';

/** Climbs through events at times (ms); gives the end and all effects, each with its time. */
function climb(events: [number, LadderEvent][], preference: Preference = 'auto') {
  let ladder: Ladder = bottom(preference);
  const effects: [number, Effect][] = [];
  for (const [at, event] of events) {
    const next = step(ladder, event, at);
    ladder = next.ladder;
    for (const e of next.effects) effects.push([at, e]);
  }
  return { ladder, effects };
}

const up: LadderEvent = { type: 'signal-up' };
const down: LadderEvent = { type: 'signal-down' };
const frame: LadderEvent = { type: 'rtc-frame' };
const vnc: LadderEvent = { type: 'vnc-frame' };
const tick: LadderEvent = { type: 'tick' };
const dead: LadderEvent = { type: 'rtc-dead', why: 'the media stopped' };

describe('the ladder', () => {
  test('WebRTC in time: noVNC is never touched', () => {
    const { ladder, effects } = climb([
      [0, up],
      [300, frame],
      [4000, tick],
    ]);
    expect(ladder).toMatchObject({ shown: 'webrtc', rtc: 'live', vnc: 'off', fallback: false });
    expect(effects).toEqual([[0, 'start-rtc']]);
    expect(wakeAt(ladder)).toBeNull();
  });

  test('no frame after 4 s: noVNC, and the person is told once', () => {
    const { ladder, effects } = climb([
      [0, up],
      [3999, tick],
      [4000, tick],
      [4200, vnc],
      [4300, vnc],
    ]);
    expect(ladder).toMatchObject({ shown: 'novnc', why: 'no media after 4 s' });
    expect(effects).toEqual([
      [0, 'start-rtc'],
      [4000, 'start-vnc'],
      [4200, 'say-fallback'],
    ]);
  });

  test('the first attempt goes on behind noVNC: a late frame wins', () => {
    const { ladder, effects } = climb([
      [0, up],
      [4000, tick],
      [4200, vnc],
      [5000, frame],
    ]);
    expect(ladder).toMatchObject({ shown: 'webrtc', vnc: 'off', fallback: false });
    expect(effects.slice(-2)).toEqual([
      [5000, 'say-back'],
      [5000, 'stop-vnc'],
    ]);
  });

  test('WebRTC is tried again after 8, 16, then every 30 s', () => {
    const times: number[] = [];
    let { ladder } = climb([
      [0, up],
      [4000, tick],
      [4200, vnc],
    ]);
    for (let i = 0; i < 5; i++) {
      const at = wakeAt(ladder) ?? 0;
      const next = step(ladder, tick, at);
      if (next.effects.includes('start-rtc')) times.push(at);
      ladder = next.ladder;
    }
    expect(times).toEqual([12000, 28000, 58000, 88000, 118000]);
  });

  test('an attempt that is refused at once does not spin', () => {
    const { ladder, effects } = climb([
      [0, up],
      [10, dead],
      [20, dead],
    ]);
    expect(effects).toEqual([
      [0, 'start-rtc'],
      [10, 'stop-rtc'],
      [10, 'start-vnc'],
    ]);
    expect(wakeAt(ladder)).toBe(8010);
  });

  test('media that dies: noVNC and a new offer, at once', () => {
    const { ladder, effects } = climb([
      [0, up],
      [300, frame],
      [9000, dead],
    ]);
    expect(effects.slice(1)).toEqual([
      [9000, 'stop-rtc'],
      [9000, 'start-vnc'],
      [9000, 'start-rtc'],
    ]);
    expect(ladder).toMatchObject({ shown: 'none', fallback: true, why: 'the media stopped' });
  });

  test('media that dies and is back before noVNC draws: nobody hears of it', () => {
    const { effects } = climb([
      [0, up],
      [300, frame],
      [9000, dead],
      [9200, frame],
    ]);
    expect(effects.map(([, e]) => e)).not.toContain('say-fallback');
    expect(effects.map(([, e]) => e)).not.toContain('say-back');
  });

  test('the signal socket drops while media flows: the picture stays', () => {
    const { ladder, effects } = climb([
      [0, up],
      [300, frame],
      [5000, down],
    ]);
    expect(ladder).toMatchObject({ shown: 'webrtc', rtc: 'live', signal: 'down' });
    expect(effects).toEqual([[0, 'start-rtc']]);
  });

  test('the daemon is killed: all is lost, and a hello begins again', () => {
    const { ladder, effects } = climb([
      [0, up],
      [300, frame],
      [5000, down],
      [5100, dead],
      [8000, up],
      [8300, frame],
    ]);
    expect(ladder).toMatchObject({ shown: 'webrtc', rtc: 'live' });
    expect(effects.slice(1)).toEqual([
      [5100, 'stop-rtc'],
      [8000, 'start-rtc'],
    ]);
  });

  test('a viewer that was on noVNC gets it back at once after a restart', () => {
    const { effects } = climb([
      [0, up],
      [4000, tick],
      [4200, vnc],
      [5000, down],
      [5001, { type: 'vnc-dead' }],
      [8000, up],
    ]);
    expect(effects.slice(-2)).toEqual([
      [8000, 'start-rtc'],
      [8000, 'start-vnc'],
    ]);
  });

  test('noVNC drops alone: it is opened again, later each time', () => {
    let { ladder } = climb([
      [0, up],
      [4000, tick],
      [4200, vnc],
      [5000, { type: 'vnc-dead' }],
    ]);
    expect(ladder.shown).toBe('none');
    expect(wakeAt(ladder)).toBe(5500);
    ladder = step(ladder, tick, 5500).ladder;
    ladder = step(ladder, { type: 'vnc-dead' }, 5600).ladder;
    expect(ladder.vncRetryAt).toBe(6600);
  });

  test('noVNC by choice from the start: WebRTC is not tried, nobody is told what they asked for', () => {
    const { ladder, effects } = climb(
      [
        [0, up],
        [200, vnc],
        [60000, tick],
      ],
      'novnc',
    );
    expect(effects).toEqual([[0, 'start-vnc']]);
    expect(ladder).toMatchObject({ shown: 'novnc', why: 'as you asked' });
  });

  test('noVNC by choice later: WebRTC stays on screen until noVNC has drawn', () => {
    const { ladder, effects } = climb([
      [0, up],
      [300, frame],
      [5000, { type: 'prefer', preference: 'novnc' }],
      [5300, vnc],
    ]);
    expect(effects.slice(1)).toEqual([
      [5000, 'start-vnc'],
      [5300, 'stop-rtc'],
    ]);
    expect(ladder).toMatchObject({ shown: 'novnc', rtc: 'off' });
  });

  test('back to WebRTC by choice: noVNC stays until a frame', () => {
    const { ladder, effects } = climb(
      [
        [0, up],
        [200, vnc],
        [5000, { type: 'prefer', preference: 'auto' }],
        [5400, frame],
      ],
      'novnc',
    );
    expect(effects.slice(1)).toEqual([
      [5000, 'start-rtc'],
      [5400, 'say-back'],
      [5400, 'stop-vnc'],
    ]);
    expect(ladder.shown).toBe('webrtc');
  });

  test('over is over', () => {
    const { ladder, effects } = climb([
      [0, up],
      [300, frame],
      [400, { type: 'over' }],
      [500, up],
      [9000, tick],
    ]);
    expect(effects).toEqual([
      [0, 'start-rtc'],
      [400, 'stop-rtc'],
    ]);
    expect(ladder.over).toBe(true);
    expect(wakeAt(ladder)).toBeNull();
  });

  test('whatever happens in whatever order, nothing is stopped that does not run and timers stay sane', () => {
    const events: LadderEvent[] = [
      up,
      down,
      frame,
      dead,
      vnc,
      { type: 'vnc-dead' },
      tick,
      { type: 'prefer', preference: 'novnc' },
      { type: 'prefer', preference: 'auto' },
    ];
    let seed = 7;
    const random = () => (seed = (seed * 48271) % 2147483647) / 2147483647;
    for (let run = 0; run < 300; run++) {
      let ladder = bottom();
      let now = 0;
      for (let i = 0; i < 60; i++) {
        now += Math.floor(random() * 3000);
        const event = events[Math.floor(random() * events.length)] ?? tick;
        ladder = step(ladder, event, now).ladder;
        if (ladder.shown === 'webrtc') expect(ladder.rtc).not.toBe('off');
        if (ladder.shown === 'novnc') expect(ladder.vnc).not.toBe('off');
        if (ladder.signal === 'down') expect(wakeAt(ladder)).toBeNull();
        if (ladder.signal === 'up' && ladder.shown === 'none') {
          const under = ladder.rtc === 'trying' || ladder.vnc === 'trying' || wakeAt(ladder) !== null;
          expect(under, `stuck after ${event.type}`).toBe(true);
        }
      }
    }
  });
});
