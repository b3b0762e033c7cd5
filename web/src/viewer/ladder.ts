// The connection ladder: which of WebRTC and noVNC is tried, shown and given up, and when. A pure state machine: it
// holds no socket and no clock; the engine feeds it events with the time and does what it says. WebRTC itself climbs
// UDP → TCP → TURN inside one ICE attempt; this is the ladder around it (docs/viewer-protocol.md, "noVNC").

/** What the person asked for: `auto` lets the ladder choose, `novnc` stays there. */
export type Preference = 'auto' | 'novnc';
export type Shown = 'none' | 'webrtc' | 'novnc';

export interface Ladder {
  readonly preference: Preference;
  readonly signal: 'down' | 'up';
  /** `live`: frames are decoded. `trying`: an attempt is under way. */
  readonly rtc: 'off' | 'trying' | 'live';
  readonly vnc: 'off' | 'trying' | 'live';
  readonly shown: Shown;
  /** True from when WebRTC did not make it until it does: noVNC is wanted meanwhile. */
  readonly fallback: boolean;
  /** Why noVNC is on, in words for the person. */
  readonly why: string;
  /** The person was told of this fallback already. */
  readonly told: boolean;
  /** By when the attempt under way must have shown a frame. */
  readonly rtcDeadline: number | null;
  readonly rtcRetryAt: number | null;
  readonly rtcRetries: number;
  readonly vncRetryAt: number | null;
  readonly vncRetries: number;
  readonly over: boolean;
}

export type LadderEvent =
  | { type: 'signal-up' }
  | { type: 'signal-down' }
  | { type: 'rtc-frame' }
  | { type: 'rtc-dead'; why: string }
  | { type: 'vnc-frame' }
  | { type: 'vnc-dead' }
  | { type: 'prefer'; preference: Preference }
  | { type: 'tick' }
  | { type: 'over' };

export type Effect = 'start-rtc' | 'stop-rtc' | 'start-vnc' | 'stop-vnc' | 'say-fallback' | 'say-back';

/** How long WebRTC has to show a frame before noVNC steps in, in ms (docs/viewer-protocol.md). */
export const frameDeadline = 4000;
/** Pauses between attempts in the background, in ms; the last one repeats. */
export const rtcRetryDelays = [8000, 16000, 30000] as const;
const vncRetryDelays = [500, 1000, 2000, 5000] as const;

export const bottom = (preference: Preference = 'auto'): Ladder => ({
  preference,
  signal: 'down',
  rtc: 'off',
  vnc: 'off',
  shown: 'none',
  fallback: preference === 'novnc',
  why: preference === 'novnc' ? 'as you asked' : '',
  told: preference === 'novnc',
  rtcDeadline: null,
  rtcRetryAt: null,
  rtcRetries: 0,
  vncRetryAt: null,
  vncRetries: 0,
  over: false,
});

/** step gives the state after an event, and what is to be done about it, in order. */
export function step(was: Ladder, event: LadderEvent, now: number): { ladder: Ladder; effects: Effect[] } {
  if (was.over) return { ladder: was, effects: [] };
  const effects: Effect[] = [];
  let l = { ...was };

  const tryRtc = () => {
    effects.push('start-rtc');
    l = { ...l, rtc: 'trying', rtcDeadline: now + frameDeadline, rtcRetryAt: null };
  };
  const tryVnc = () => {
    effects.push('start-vnc');
    l = { ...l, vnc: 'trying', vncRetryAt: null };
  };
  const fallBack = (why: string) => {
    if (!l.fallback) l = { ...l, fallback: true, told: false, why };
    if (l.vnc === 'off' && l.signal === 'up') tryVnc();
  };
  const retryLater = () => {
    const delay = rtcRetryDelays[Math.min(l.rtcRetries, rtcRetryDelays.length - 1)] ?? 30000;
    l = { ...l, rtcDeadline: null, rtcRetryAt: now + delay, rtcRetries: l.rtcRetries + 1 };
  };

  switch (event.type) {
    case 'signal-up':
      l = { ...l, signal: 'up', rtcRetries: 0, vncRetries: 0 };
      // A new offer replaces whatever the node still has of this viewer; the old picture stays until the new one.
      if (l.preference === 'auto') tryRtc();
      if (l.fallback && l.vnc !== 'live') tryVnc();
      break;

    case 'signal-down':
      // Media that still flows is kept; nothing new can be started without the socket.
      l = { ...l, signal: 'down', rtcDeadline: null, rtcRetryAt: null, vncRetryAt: null };
      if (l.rtc === 'trying') {
        l = { ...l, rtc: l.shown === 'webrtc' ? 'live' : 'off' };
        if (l.rtc === 'off') effects.push('stop-rtc');
      }
      break;

    case 'rtc-frame':
      if (l.rtc === 'off' || l.preference === 'novnc') break;
      if (l.shown === 'novnc' && l.told) effects.push('say-back');
      if (l.vnc !== 'off') effects.push('stop-vnc');
      l = { ...l, rtc: 'live', shown: 'webrtc', fallback: false, why: '', vnc: 'off' };
      l = { ...l, rtcDeadline: null, rtcRetryAt: null, rtcRetries: 0, vncRetryAt: null };
      break;

    case 'rtc-dead': {
      if (l.rtc === 'off') break;
      const wasShown = l.shown === 'webrtc';
      effects.push('stop-rtc');
      l = { ...l, rtc: 'off', rtcDeadline: null, shown: wasShown ? 'none' : l.shown };
      if (l.signal === 'down' || l.preference === 'novnc') break;
      // What was seen and died is tried again at once, next to noVNC; what never came is tried later.
      fallBack(event.why);
      if (wasShown) tryRtc();
      else if (l.rtcRetryAt === null) retryLater();
      break;
    }

    case 'vnc-frame':
      if (l.vnc === 'off') break;
      l = { ...l, vnc: 'live', vncRetries: 0 };
      if (!l.fallback) break;
      if (!l.told) effects.push('say-fallback');
      l = { ...l, shown: 'novnc', told: true };
      if (l.preference === 'novnc' && l.rtc !== 'off') {
        effects.push('stop-rtc');
        l = { ...l, rtc: 'off', rtcDeadline: null };
      }
      break;

    case 'vnc-dead': {
      if (l.vnc === 'off') break;
      effects.push('stop-vnc');
      const delay = vncRetryDelays[Math.min(l.vncRetries, vncRetryDelays.length - 1)] ?? 5000;
      l = { ...l, vnc: 'off', vncRetries: l.vncRetries + 1, shown: l.shown === 'novnc' ? 'none' : l.shown };
      if (l.fallback && l.signal === 'up') l = { ...l, vncRetryAt: now + delay };
      break;
    }

    case 'prefer':
      if (l.preference === event.preference) break;
      l = { ...l, preference: event.preference, rtcRetries: 0 };
      if (event.preference === 'novnc') {
        l = { ...l, fallback: true, told: true, why: 'as you asked', rtcRetryAt: null, rtcDeadline: null };
        if (l.rtc === 'trying' && l.shown !== 'webrtc') {
          effects.push('stop-rtc');
          l = { ...l, rtc: 'off' };
        }
        if (l.signal === 'up' && l.vnc === 'off') tryVnc();
      } else {
        l = { ...l, why: 'until WebRTC connects' };
        if (l.signal === 'up') tryRtc();
      }
      break;

    case 'tick':
      if (l.rtcDeadline !== null && now >= l.rtcDeadline) {
        // The attempt goes on until the next one replaces it: a late frame still wins.
        retryLater();
        if (l.rtc === 'trying') fallBack(`no media after ${frameDeadline / 1000} s`);
      }
      if (l.rtcRetryAt !== null && now >= l.rtcRetryAt && l.signal === 'up') {
        effects.push('start-rtc');
        l = { ...l, rtc: 'trying' };
        retryLater();
      }
      if (l.vncRetryAt !== null && now >= l.vncRetryAt && l.signal === 'up') tryVnc();
      break;

    case 'over':
      if (l.rtc !== 'off') effects.push('stop-rtc');
      if (l.vnc !== 'off') effects.push('stop-vnc');
      l = { ...l, rtc: 'off', vnc: 'off', shown: 'none', over: true };
      l = { ...l, rtcDeadline: null, rtcRetryAt: null, vncRetryAt: null };
      break;
  }
  return { ladder: l, effects };
}

/** wakeAt is when the next tick is due, or null. */
export function wakeAt(l: Ladder): number | null {
  const times = [l.rtcDeadline, l.rtcRetryAt, l.vncRetryAt].filter((t) => t !== null);
  return times.length === 0 ? null : Math.min(...times);
}
