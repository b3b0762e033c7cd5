// The messages of the signal socket (docs/viewer-protocol.md), and the one place where bytes from the node become
// values. The node passes on what a machine said (cursor, clipboard), so every field is checked and bounded.

export interface Size {
  width: number;
  height: number;
}

/** Path is what a viewer is on. */
export type Path = 'udp' | 'tcp' | 'turn' | 'novnc' | 'none';

export interface ViewerInfo {
  id: string;
  user_id: string;
  scope: 'view' | 'control';
  path: Path;
  /** Its socket dropped, and it may still come back. */
  away: boolean;
}

export interface EndFailure {
  code: string;
  message: string;
  remedy: string;
}

export type FromNode =
  | {
      type: 'hello';
      viewer_id: string;
      scope: 'view' | 'control';
      viewport: Size;
      ice_servers: RTCIceServer[];
      codecs: string[];
      resume: string;
    }
  | { type: 'resume'; resume: string }
  | { type: 'viewers'; viewers: ViewerInfo[]; controller: string }
  | { type: 'answer'; sdp: string }
  | { type: 'candidate'; candidate: RTCIceCandidateInit }
  | { type: 'control_requested'; viewer_id: string }
  | { type: 'cursor'; png: string; hx: number; hy: number }
  | { type: 'clipboard'; s: string }
  | { type: 'resized'; w: number; h: number }
  | { type: 'state'; state: string; ended_reason: string; failure: EndFailure | null }
  | { type: 'error'; code: string; message: string }
  | { type: 'pong'; t: number };

/** Input is one act of the person: a message of the data channels, or of the signal socket under `input`. */
export type Input =
  | { t: 'pointer'; x: number; y: number; b: number }
  | { t: 'wheel'; x: number; y: number; dx: number; dy: number }
  | { t: 'key'; k: string; c: string; d: boolean }
  | { t: 'text'; s: string }
  | { t: 'release' }
  | { t: 'clipboard'; s: string }
  | { t: 'resize'; w: number; h: number };

export type ToNode =
  | { type: 'offer'; sdp: string }
  | { type: 'candidate'; candidate: RTCIceCandidateInit }
  | { type: 'control'; action: 'take' | 'request' | 'give' | 'release'; to?: string }
  | { type: 'input'; input: Input }
  | { type: 'path'; path: Path; why: string }
  | { type: 'ping'; t: number };

// The bounds of the domain: stream.go (MaxInputText, MaxInputClipboard), session.go (viewport).
export const maxText = 4096;
export const maxClipboard = 1 << 20;
const maxSide = 16384;
const maxViewers = 1000;

type Fields = Record<string, unknown>;
const str = (v: unknown): string => (typeof v === 'string' ? v : '');
const num = (v: unknown): number => (typeof v === 'number' && Number.isFinite(v) ? v : 0);
const obj = (v: unknown): Fields => (typeof v === 'object' && v !== null ? (v as Fields) : {});
const list = (v: unknown): unknown[] => (Array.isArray(v) ? v : []);
const side = (v: unknown): number => Math.min(Math.max(Math.trunc(num(v)), 0), maxSide);
const scope = (v: unknown): 'view' | 'control' => (v === 'control' ? 'control' : 'view');
const paths: readonly string[] = ['udp', 'tcp', 'turn', 'novnc', 'none'];
const path = (v: unknown): Path => (paths.includes(str(v)) ? (v as Path) : 'none');

/** parse gives the message in text, or null when it is not one of ours. It never throws. */
export function parse(text: string): FromNode | null {
  let m: Fields;
  try {
    m = obj(JSON.parse(text));
  } catch {
    return null;
  }
  switch (m.type) {
    case 'hello': {
      const size = obj(m.viewport);
      return {
        type: 'hello',
        viewer_id: str(m.viewer_id),
        scope: scope(m.scope),
        viewport: { width: side(size.width), height: side(size.height) },
        ice_servers: list(m.ice_servers).map(iceServer),
        codecs: list(m.codecs).map(str),
        resume: str(m.resume),
      };
    }
    case 'resume':
      return { type: 'resume', resume: str(m.resume) };
    case 'viewers':
      return {
        type: 'viewers',
        viewers: list(m.viewers).slice(0, maxViewers).map(viewerInfo),
        controller: str(m.controller),
      };
    case 'answer':
      return { type: 'answer', sdp: str(m.sdp) };
    case 'candidate':
      return { type: 'candidate', candidate: obj(m.candidate) };
    case 'control_requested':
      return { type: 'control_requested', viewer_id: str(m.viewer_id) };
    case 'cursor':
      return { type: 'cursor', png: base64(m.png), hx: side(m.hx), hy: side(m.hy) };
    case 'clipboard':
      return { type: 'clipboard', s: str(m.s).slice(0, maxClipboard) };
    case 'resized':
      return { type: 'resized', w: side(m.w), h: side(m.h) };
    case 'state':
      return {
        type: 'state',
        state: str(m.state),
        ended_reason: str(m.ended_reason),
        failure: failure(m.failure),
      };
    case 'error':
      return { type: 'error', code: str(m.code), message: str(m.message) };
    case 'pong':
      return { type: 'pong', t: num(m.t) };
    default:
      return null;
  }
}

function iceServer(v: unknown): RTCIceServer {
  const s = obj(v);
  return { urls: list(s.urls).map(str), username: str(s.username), credential: str(s.credential) };
}

function viewerInfo(v: unknown): ViewerInfo {
  const i = obj(v);
  return {
    id: str(i.id),
    user_id: str(i.user_id),
    scope: scope(i.scope),
    path: path(i.path),
    away: i.away === true,
  };
}

function failure(v: unknown): EndFailure | null {
  const f = obj(v);
  return f.code === undefined ? null : { code: str(f.code), message: str(f.message), remedy: str(f.remedy) };
}

/** base64 lets nothing else through, because the text becomes part of a CSS url(). */
function base64(v: unknown): string {
  const s = str(v);
  return /^[A-Za-z0-9+/]*={0,2}$/.test(s) ? s : '';
}
