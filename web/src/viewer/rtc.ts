// One WebRTC connection of a viewer: offers, takes the answer, shows the video, carries input. A new attempt is a new
// Peer; the old one may stay on screen until the new one has a frame.
import type { Input, Path } from './protocol';
import { read, type Sample } from './stats';

export interface PeerHandlers {
  offer(sdp: string): void;
  candidate(c: RTCIceCandidateInit): void;
  /** The first frame was decoded. */
  frame(): void;
  /** The connection is of no more use; said once. */
  dead(why: string): void;
  sample(s: Sample): void;
}

export interface PeerOptions {
  iceServers: RTCIceServer[];
  /** The node's codecs in its order of preference. */
  codecs: string[];
  /** See EngineOptions. */
  relayOnly: boolean;
  codec: string;
}

/** The desktop sends a frame every 2 s even when nothing moves (streaming: heartbeat); three in a row missing is dead. */
const silentAfter = 7000;
const flowsWithin = 3500;
/** ICE often recovers from `disconnected` by itself; this long it may take. */
const disconnectedFor = 2500;
const sampleEvery = 1000;
/** Moves are worth nothing when they are late: with this many bytes queued they are dropped. */
const moveBacklog = 16 << 10;

export class Peer {
  readonly video = document.createElement('video');
  private readonly pc: RTCPeerConnection;
  private readonly reliable: RTCDataChannel;
  private readonly fast: RTCDataChannel;
  private readonly early: RTCIceCandidateInit[] = [];
  private last: Sample | null = null;
  private lastBytesAt = performance.now();
  private shown = false;
  private closed = false;
  private timer = 0;
  private disconnectTimer = 0;

  constructor(
    options: PeerOptions,
    private readonly handlers: PeerHandlers,
  ) {
    this.pc = new RTCPeerConnection({
      iceServers: options.iceServers,
      bundlePolicy: 'max-bundle',
      iceTransportPolicy: options.relayOnly ? 'relay' : 'all',
    });
    this.reliable = this.pc.createDataChannel('input', { ordered: true });
    this.fast = this.pc.createDataChannel('pointer', { ordered: false, maxRetransmits: 0 });
    const transceiver = this.pc.addTransceiver('video', { direction: 'recvonly' });
    preferCodecs(transceiver, options);
    eager(transceiver.receiver);

    Object.assign(this.video, {
      muted: true,
      autoplay: true,
      playsInline: true,
      disablePictureInPicture: true,
    });
    this.video.className = 'vt-surface';
    this.pc.ontrack = (e) => {
      this.video.srcObject = new MediaStream([e.track]);
      void this.video.play().catch(() => undefined); // autoplay of a muted video; a refusal shows as no frame
    };
    this.pc.onicecandidate = (e) => this.handlers.candidate(e.candidate?.toJSON() ?? { candidate: '' });
    this.pc.onconnectionstatechange = this.stateChanged;
    this.watchFirstFrame();
    this.timer = window.setInterval(() => void this.measure(), sampleEvery);
  }

  async start(): Promise<void> {
    try {
      const offer = await this.pc.createOffer();
      await this.pc.setLocalDescription(offer);
      if (!this.closed) this.handlers.offer(this.pc.localDescription?.sdp ?? '');
    } catch (cause) {
      this.die(`this browser could not make an offer (${String(cause)})`);
    }
  }

  async answer(sdp: string): Promise<void> {
    if (this.closed || this.pc.signalingState !== 'have-local-offer') return;
    try {
      await this.pc.setRemoteDescription({ type: 'answer', sdp });
      for (const c of this.early.splice(0)) await this.pc.addIceCandidate(c);
    } catch (cause) {
      this.die(`the node's answer was refused (${String(cause)})`);
    }
  }

  async candidate(c: RTCIceCandidateInit): Promise<void> {
    if (this.closed) return;
    if (!this.pc.remoteDescription) {
      if (this.early.length < 64) this.early.push(c);
      return;
    }
    // An empty candidate ends the list; a bad one is only one way less.
    await this.pc.addIceCandidate(c.candidate ? c : undefined).catch(() => undefined);
  }

  /** send gives false when no channel is open. `fast` is for moves: unordered, never repeated. */
  send(input: Input, fast: boolean): boolean {
    const channel = fast && this.fast.readyState === 'open' ? this.fast : this.reliable;
    if (channel.readyState !== 'open') return false;
    if (fast && channel.bufferedAmount > moveBacklog) return true;
    try {
      channel.send(JSON.stringify(input));
      return true;
    } catch {
      return false;
    }
  }

  get path(): Path {
    return this.last?.path ?? 'none';
  }

  /** Whether the picture still comes: a still desktop sends at least its heartbeat. */
  get flows(): boolean {
    return performance.now() - this.lastBytesAt < flowsWithin;
  }

  close(): void {
    if (this.closed) return;
    this.closed = true;
    clearInterval(this.timer);
    clearTimeout(this.disconnectTimer);
    this.pc.onconnectionstatechange = null;
    this.pc.onicecandidate = null;
    this.pc.close();
    this.video.srcObject = null;
    this.video.remove();
  }

  private watchFirstFrame(): void {
    // requestVideoFrameCallback says that a frame is on screen; loadeddata is for browsers without it.
    if ('requestVideoFrameCallback' in this.video)
      this.video.requestVideoFrameCallback(() => this.firstFrame());
    else
      (this.video as HTMLVideoElement).addEventListener('loadeddata', () => this.firstFrame(), {
        once: true,
      });
  }

  private firstFrame(): void {
    if (this.shown || this.closed) return;
    this.shown = true;
    // The path is wanted with the first picture, not a second later.
    void this.measure().then(() => {
      if (!this.closed) this.handlers.frame();
    });
  }

  private async measure(): Promise<void> {
    if (this.closed) return;
    const now = performance.now();
    const report = (await this.pc.getStats()) as unknown as Map<string, unknown>;
    if (this.isClosed()) return;
    const sample = read(report.entries(), this.last, now);
    if (sample.bytes !== this.last?.bytes) this.lastBytesAt = now;
    this.last = sample;
    this.handlers.sample(sample);
    // A hidden tab shows no frames; decoded ones count then.
    if (sample.frames > 0 && document.visibilityState === 'hidden') this.firstFrame();
    if (this.shown && now - this.lastBytesAt > silentAfter) this.die('the media stopped');
  }

  /** A method, so that the compiler does not carry the check from before an await. */
  private isClosed(): boolean {
    return this.closed;
  }

  private readonly stateChanged = () => {
    clearTimeout(this.disconnectTimer);
    switch (this.pc.connectionState) {
      case 'failed':
        this.die(
          this.shown ? 'the media connection broke' : 'no way through for media (UDP, TCP and TURN failed)',
        );
        break;
      case 'closed':
        this.die('the node closed the media connection');
        break;
      case 'disconnected':
        this.disconnectTimer = window.setTimeout(
          () => this.die('the media connection broke'),
          disconnectedFor,
        );
        break;
    }
  };

  private die(why: string): void {
    if (this.closed) return;
    this.handlers.dead(why);
  }
}

/** The node's order counts, as far as this browser can decode; what the node lacks is left out by its answer. */
function preferCodecs(transceiver: RTCRtpTransceiver, { codecs, codec }: PeerOptions): void {
  const able = RTCRtpReceiver.getCapabilities('video')?.codecs ?? [];
  const name = (c: { mimeType: string }) => c.mimeType.replace(/^video\//i, '').toLowerCase();
  const rank = (c: { mimeType: string }) => {
    const i = codecs.indexOf(name(c));
    return i < 0 ? codecs.length : i;
  };
  const asked = able.filter((c) => name(c) === codec);
  try {
    transceiver.setCodecPreferences(asked.length > 0 ? asked : [...able].sort((a, b) => rank(a) - rank(b)));
  } catch {
    // An old browser: its own order then.
  }
}

/** No play-out delay: a desktop is worth more late by nothing than smooth. Neither name is in every browser. */
function eager(receiver: RTCRtpReceiver): void {
  const r = receiver as RTCRtpReceiver & { playoutDelayHint?: number };
  if ('jitterBufferTarget' in r) r.jitterBufferTarget = 0;
  if ('playoutDelayHint' in r) r.playoutDelayHint = 0;
}
