// What a viewer is doing, as one immutable value: the page draws it, tests and `vitrine bench` read it from the
// viewer element's data-* attributes.
import type { EndFailure, Path, Size, ViewerInfo } from './protocol';
import type { Preference } from './ladder';
import { noFigures, type Figures } from './stats';
import type { Sizing } from './geometry';

export type ViewerState = 'connecting' | 'live' | 'reconnecting' | 'ended' | 'refused';

export interface Snapshot {
  state: ViewerState;
  /** What is being waited for, in words; empty when live. */
  doing: string;
  path: Path;
  why: string;
  preference: Preference;
  sizing: Sizing;
  figures: Figures;
  desktop: Size;
  me: string;
  scope: 'view' | 'control';
  viewers: readonly ViewerInfo[];
  controller: string;
  /** The last text copied in the desktop, and whether it reached this device's clipboard. */
  copied: { text: string; written: boolean } | null;
  end: { state: string; reason: string; failure: EndFailure | null } | null;
}

export const initial = (preference: Preference, sizing: Sizing): Snapshot => ({
  state: 'connecting',
  doing: 'Connecting to the desktop',
  path: 'none',
  why: '',
  preference,
  sizing,
  figures: noFigures,
  desktop: { width: 0, height: 0 },
  me: '',
  scope: 'view',
  viewers: [],
  controller: '',
  copied: null,
  end: null,
});

export const inControl = (s: Snapshot): boolean => s.me !== '' && s.me === s.controller;

/**
 * mark writes the snapshot on the element:
 *   data-state   connecting | live | reconnecting | ended | refused
 *   data-path    udp | tcp | turn | novnc | none          data-why  in words
 *   data-fps     frames a second, one decimal              data-frames  decoded since the connection began
 *   data-codec   VP8 | H264 | RFB                          data-rtt  ms
 *   data-width, data-height  of the desktop, in pixels     data-control  me | other | none
 */
export function mark(element: HTMLElement, s: Snapshot): void {
  const f = s.figures;
  const values: Record<string, string> = {
    state: s.state,
    path: s.path,
    why: s.why,
    fps: f.fps.toFixed(1),
    frames: String(f.frames),
    codec: f.codec,
    rtt: f.rtt === null ? '' : f.rtt.toFixed(1),
    width: String(s.desktop.width),
    height: String(s.desktop.height),
    control: s.controller === '' ? 'none' : inControl(s) ? 'me' : 'other',
  };
  for (const [name, value] of Object.entries(values)) {
    if (element.dataset[name] !== value) element.dataset[name] = value;
  }
}
