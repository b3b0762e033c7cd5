// The ways to see the desktop, as things to start and stop: WebRTC peers and noVNC, and which of them is on the stage.
// It does what the ladder says and tells what happened; it decides nothing.
import { Vnc } from './novnc';
import type { Path, Size } from './protocol';
import { Peer, type PeerOptions } from './rtc';
import type { Stage } from './stage';
import { noFigures, type Figures } from './stats';
import type { Input } from './protocol';

export interface MediaHandlers {
  offer(sdp: string): void;
  candidate(c: RTCIceCandidateInit): void;
  rtcFrame(): void;
  rtcDead(why: string): void;
  /** A new picture of noVNC's; true when it shall be shown. */
  vncFrame(): boolean;
  vncDead(): void;
  figures(f: Figures): void;
  /** The size of the picture that arrives. */
  picture(size: Size): void;
}

export class Media {
  /** What is on screen, and an attempt that may take its place: the old picture stays until the new one has a frame. */
  private current: Peer | null = null;
  private next: Peer | null = null;
  private vnc: Vnc | null = null;
  private vncDraws = 0;
  private readonly timer: number;

  constructor(
    private readonly stage: Stage,
    private readonly on: MediaHandlers,
  ) {
    this.timer = window.setInterval(() => this.measureVnc(), 1000);
  }

  get path(): Path {
    return this.current?.path ?? 'none';
  }

  /** Whether what WebRTC shows is of now, not a picture left standing while another connection is made. */
  get flows(): boolean {
    return this.current?.flows ?? false;
  }

  /** The peer that the node's answer and candidates are for. */
  get newest(): Peer | null {
    return this.next ?? this.current;
  }

  /** send gives false when there is no data channel. */
  send(input: Input, fast: boolean): boolean {
    return this.current?.send(input, fast) ?? false;
  }

  startPeer(options: PeerOptions): void {
    this.drop(this.next);
    const peer: Peer = new Peer(options, {
      offer: (sdp) => this.on.offer(sdp),
      candidate: (c) => this.on.candidate(c),
      frame: () => {
        if (peer !== this.next) return;
        this.drop(this.current);
        this.current = peer;
        this.next = null;
        this.stage.show(peer.video);
        this.on.rtcFrame();
      },
      dead: (why) => {
        // The node closes the old connection when it takes the new offer: that is no loss.
        if (peer === this.newest) this.on.rtcDead(why);
      },
      sample: (s) => {
        if (peer === this.current && this.stage.shows(peer.video)) this.on.figures(s.figures);
      },
    });
    this.next = peer;
    peer.video.addEventListener('resize', () => {
      const { videoWidth: width, videoHeight: height } = peer.video;
      if (peer === this.newest) this.on.picture({ width, height });
    });
    this.stage.add(peer.video);
    void peer.start();
  }

  stopPeers(): void {
    this.drop(this.next);
    this.drop(this.current);
    this.next = this.current = null;
  }

  startVnc(url: string): void {
    this.stopVnc();
    const vnc: Vnc = new Vnc(url, {
      frame: () => {
        if (vnc !== this.vnc || !this.on.vncFrame()) return;
        this.stage.show(vnc.element);
        this.measureVnc();
      },
      dead: () => {
        if (vnc === this.vnc) this.on.vncDead();
      },
    });
    this.vnc = vnc;
    this.vncDraws = 0;
    this.stage.add(vnc.element);
    void vnc.start();
  }

  stopVnc(): void {
    if (!this.vnc) return;
    this.stage.drop(this.vnc.element);
    this.vnc.close();
    this.vnc = null;
  }

  close(): void {
    clearInterval(this.timer);
    this.stopPeers();
    this.stopVnc();
  }

  private drop(peer: Peer | null): void {
    if (!peer) return;
    peer.close();
    this.stage.drop(peer.video);
  }

  private measureVnc(): void {
    if (!this.vnc || !this.stage.shows(this.vnc.element)) return;
    const { width, height } = this.vnc.size;
    const frames = this.vnc.frames;
    const fps = Math.max(0, frames - this.vncDraws);
    this.vncDraws = frames;
    this.on.picture({ width, height });
    this.on.figures({ ...noFigures, width, height, fps, frames, codec: 'RFB' });
  }
}
