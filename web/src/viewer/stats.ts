// The live figures of a viewer: pure arithmetic over what RTCPeerConnection.getStats() gives.
import type { Path } from './protocol';

export interface Figures {
  /** Frames shown in the last second. */
  fps: number;
  /** Round trip to the node in ms; null until one was measured. */
  rtt: number | null;
  /** Video received, in kbit/s; null where it cannot be known (noVNC). */
  kbps: number | null;
  width: number;
  height: number;
  codec: string;
  /** Frames and packets lost since the connection began. */
  dropped: number;
  lost: number;
  /** Time in the jitter buffer and in the decoder for the last frames, ms each; null when no frame came. */
  buffer: number | null;
  decode: number | null;
  /** Frames decoded since the connection began. */
  frames: number;
}

export const noFigures: Figures = {
  fps: 0,
  rtt: null,
  kbps: null,
  width: 0,
  height: 0,
  codec: '',
  dropped: 0,
  lost: 0,
  buffer: null,
  decode: null,
  frames: 0,
};

/** Sample is the part of a stats report that is kept from one reading to the next. */
export interface Sample {
  at: number;
  bytes: number;
  frames: number;
  bufferDelay: number;
  bufferCount: number;
  decodeTime: number;
  path: Path;
  figures: Figures;
}

type Entry = Record<string, unknown> & { type: string; id: string };
const num = (v: unknown): number => (typeof v === 'number' ? v : 0);
const str = (v: unknown): string => (typeof v === 'string' ? v : '');

/** read digests one report (times in ms) next to the sample before it. */
export function read(report: Iterable<[string, unknown]>, before: Sample | null, at: number): Sample {
  const entries = new Map<string, Entry>();
  for (const [id, entry] of report) entries.set(id, entry as Entry);
  const of = (type: string) => [...entries.values()].filter((e) => e.type === type);

  const video = of('inbound-rtp').find((e) => e.kind === 'video');
  const pair = selectedPair(entries, of);
  const local = pair ? entries.get(str(pair.localCandidateId)) : undefined;

  const bytes = num(video?.bytesReceived);
  const frames = num(video?.framesDecoded);
  const bufferDelay = num(video?.jitterBufferDelay);
  const bufferCount = num(video?.jitterBufferEmittedCount);
  const decodeTime = num(video?.totalDecodeTime);
  const seconds = before ? (at - before.at) / 1000 : 0;
  const mean = (sum: number, count: number) => (count > 0 ? (sum / count) * 1000 : null);

  return {
    at,
    bytes,
    frames,
    bufferDelay,
    bufferCount,
    decodeTime,
    path: pathOf(local),
    figures: {
      fps: before && seconds > 0 ? Math.max(0, (frames - before.frames) / seconds) : 0,
      rtt: pair && typeof pair.currentRoundTripTime === 'number' ? pair.currentRoundTripTime * 1000 : null,
      kbps: before && seconds > 0 ? Math.max(0, ((bytes - before.bytes) * 8) / 1000 / seconds) : null,
      width: num(video?.frameWidth),
      height: num(video?.frameHeight),
      codec: str(entries.get(str(video?.codecId))?.mimeType).replace('video/', ''),
      dropped: num(video?.framesDropped),
      lost: Math.max(0, num(video?.packetsLost)),
      buffer: before ? mean(bufferDelay - before.bufferDelay, bufferCount - before.bufferCount) : null,
      decode: before ? mean(decodeTime - before.decodeTime, frames - before.frames) : null,
      frames,
    },
  };
}

/** Firefox has no transport entry that names the pair, but marks it. */
function selectedPair(entries: Map<string, Entry>, of: (type: string) => Entry[]): Entry | undefined {
  const named = of('transport')
    .map((t) => entries.get(str(t.selectedCandidatePairId)))
    .find((e) => e !== undefined);
  return (
    named ??
    of('candidate-pair').find((p) => p.selected === true || (p.nominated === true && p.state === 'succeeded'))
  );
}

/** What the viewer's own candidate of the pair says about the way there. */
export function pathOf(local: Record<string, unknown> | undefined): Path {
  if (!local) return 'none';
  if (local.candidateType === 'relay') return 'turn';
  return local.protocol === 'tcp' ? 'tcp' : 'udp';
}

/** whyOf says in words why the viewer is on a WebRTC path. */
export function whyOf(path: Path): string {
  switch (path) {
    case 'udp':
      return 'direct, the fastest';
    case 'tcp':
      return 'UDP did not get through';
    case 'turn':
      return 'relayed, the direct ways did not get through';
    default:
      return '';
  }
}
