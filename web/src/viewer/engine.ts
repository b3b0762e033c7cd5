// The viewer: joins the signal socket, the ladder, the two ways to see the desktop, and input. It is plain
// TypeScript over one element and a few callbacks, so that any page can use it; what it shows is in a Snapshot.
import { Clipboard } from './clipboard';
import type { Sizing } from './geometry';
import type { EngineOptions } from './host';
import { Pad } from './input/pad';
import { bottom, step, wakeAt, type Effect, type Ladder, type LadderEvent, type Preference } from './ladder';
import type { EndFailure, FromNode, Input, Path, ToNode } from './protocol';
import { Media } from './media';
import { Signal } from './signal';
import { Sizer } from './sizer';
import { inControl, initial, mark, type Snapshot } from './snapshot';
import { Stage } from './stage';
import { whyOf } from './stats';

/** Refusals that a person can do something about; the others are between this viewer and the node. */
const worthSaying = new Set(['view_only', 'not_in_control', 'no_such_viewer', 'too_many_viewers']);

export class Engine {
  private state: Snapshot;
  private readonly listeners = new Set<() => void>();
  private readonly stage: Stage;
  private readonly signal: Signal;
  private readonly pad: Pad;
  private readonly clipboard: Clipboard;
  private ladder: Ladder;
  private ice: RTCIceServer[] = [];
  private codecs: string[] = [];
  private readonly media: Media;
  private rtt: number | null = null;
  private told = '';
  private wakeTimer = 0;
  private readonly sizer = new Sizer((w, h) => this.input({ t: 'resize', w, h }, false));
  private closed = false;

  constructor(
    private readonly root: HTMLElement,
    private readonly options: EngineOptions,
  ) {
    this.state = initial(options.preference, options.sizing);
    this.ladder = bottom(options.preference);
    this.stage = new Stage(root, () => this.wantSize());
    this.stage.setSizing(options.sizing);
    this.pad = new Pad(this.stage.pad, this.stage.field, {
      send: (input, fast) => this.input(input, fast),
      active: () => this.state.state === 'live' && inControl(this.state),
      picture: () => this.stage.box,
      desktop: () => this.state.desktop,
      shortcut: (letter) => options.shortcut(letter),
    });
    this.clipboard = new Clipboard(
      (text) => this.input({ t: 'clipboard', s: text }, false),
      () => inControl(this.state),
    );
    this.signal = new Signal(this.address('signal'), {
      message: (m) => this.receive(m),
      down: (opened) => void this.lost(opened),
      rtt: (ms) => (this.rtt = ms),
    });
    this.media = new Media(this.stage, {
      offer: (sdp) => this.signal.send({ type: 'offer', sdp }),
      candidate: (candidate) => this.signal.send({ type: 'candidate', candidate }),
      rtcFrame: () => this.dispatch({ type: 'rtc-frame' }),
      rtcDead: (why) => this.dispatch({ type: 'rtc-dead', why }),
      vncFrame: () => {
        this.dispatch({ type: 'vnc-frame' });
        return this.ladder.shown === 'novnc';
      },
      vncDead: () => this.dispatch({ type: 'vnc-dead' }),
      figures: (f) => {
        // noVNC measures no round trip; the signal socket's is of the same way.
        this.set({ figures: { ...f, rtt: f.rtt ?? this.rtt } });
        this.tell();
      },
      picture: (size) => {
        this.stage.setPicture(size);
        if (this.state.desktop.width === 0) this.set({ desktop: size });
      },
    });
    mark(root, this.state);
    this.signal.open();
  }

  // For React's useSyncExternalStore.
  readonly subscribe = (f: () => void): (() => void) => {
    this.listeners.add(f);
    return () => this.listeners.delete(f);
  };
  readonly snapshot = (): Snapshot => this.state;

  prefer(preference: Preference): void {
    this.set({ preference });
    this.dispatch({ type: 'prefer', preference });
  }

  size(sizing: Sizing): void {
    this.stage.setSizing(sizing);
    this.set({ sizing });
    this.wantSize(true);
  }

  control(action: 'take' | 'request' | 'give' | 'release', to?: string): void {
    if (action !== 'take' && action !== 'request') this.pad.releaseAll();
    this.signal.send({ type: 'control', action, ...(to ? { to } : {}) });
  }

  /** Puts text on the desktop's clipboard. */
  paste(text: string): void {
    this.input({ t: 'clipboard', s: text }, false);
  }

  /** Reads this device's clipboard; must be called within a click. Null when the browser does not allow it. */
  readClipboard(): Promise<string | null> {
    return this.clipboard.read();
  }

  async writeClipboard(): Promise<boolean> {
    const copied = this.state.copied;
    if (!copied) return false;
    const written = await this.clipboard.write(copied.text);
    this.set({ copied: { ...copied, written } });
    return written;
  }

  focus(): void {
    this.pad.focus();
  }

  openKeyboard(): void {
    this.pad.openKeyboard();
  }

  tap(key: string, code: string): void {
    this.pad.tap(key, code);
  }

  close(): void {
    if (this.closed) return;
    this.closed = true;
    this.dispatch({ type: 'over' });
    clearTimeout(this.wakeTimer);
    this.sizer.close();
    this.media.close();
    this.clipboard.close();
    this.pad.close();
    this.signal.close();
    this.stage.close();
    this.listeners.clear();
  }

  private address(route: string): string {
    const scheme = location.protocol === 'https:' ? 'wss:' : 'ws:';
    return `${scheme}//${location.host}/v1/sessions/${this.options.sessionId}/${route}`;
  }

  private receive(m: FromNode): void {
    switch (m.type) {
      case 'hello':
        this.ice = m.ice_servers;
        this.codecs = m.codecs;
        this.told = '';
        this.sizer.forget();
        this.set({ me: m.viewer_id, scope: m.scope, desktop: m.viewport, doing: 'Waiting for the picture' });
        this.dispatch({ type: 'signal-up' });
        break;
      case 'viewers': {
        const was = inControl(this.state);
        const known = this.state.controller !== '';
        this.set({ viewers: m.viewers, controller: m.controller });
        const is = inControl(this.state);
        if (was && !is) {
          this.pad.releaseAll();
          this.options.notice({ kind: 'control-lost' });
        }
        if (!was && is) {
          if (known) this.options.notice({ kind: 'control-gained' });
          this.wantSize(true);
        }
        break;
      }
      case 'answer':
        void this.media.newest?.answer(m.sdp);
        break;
      case 'candidate':
        void this.media.newest?.candidate(m.candidate);
        break;
      case 'control_requested':
        this.options.notice({ kind: 'control-requested', viewer: m.viewer_id });
        break;
      case 'cursor':
        this.stage.cursor(m.png, m.hx, m.hy);
        break;
      case 'clipboard':
        this.set({ copied: { text: m.s, written: false } });
        if (inControl(this.state)) void this.writeClipboard();
        break;
      case 'resized':
        this.set({ desktop: { width: m.w, height: m.h } });
        break;
      case 'state':
        if (m.state === 'ended' || m.state === 'failed') this.finish(m.state, m.ended_reason, m.failure);
        break;
      case 'error':
        if (worthSaying.has(m.code)) this.options.notice({ kind: 'error', message: m.message });
        break;
    }
  }

  private async lost(opened: boolean): Promise<void> {
    this.dispatch({ type: 'signal-down' });
    if (opened) {
      this.set({ doing: 'The connection to the server was lost; connecting again' });
      this.signal.retry();
      return;
    }
    const check = await this.options.check();
    if (this.closed || this.ladder.over) return;
    if (check.is === 'over') {
      this.finish(check.state, check.reason, check.failure);
      return;
    }
    if (check.is === 'refused') {
      this.set({ state: 'refused', doing: '' });
      this.dispatch({ type: 'over' });
      return;
    }
    const gone = check.is === 'unreachable';
    this.set({ doing: gone ? 'The server does not answer; trying again' : 'Connecting to the desktop' });
    this.signal.retry();
  }

  private finish(state: string, reason: string, failure: EndFailure | null): void {
    this.set({ state: 'ended', doing: '', end: { state, reason, failure } });
    this.dispatch({ type: 'over' });
    this.signal.close();
    this.stage.clear();
  }

  private dispatch(event: LadderEvent): void {
    const { ladder, effects } = step(this.ladder, event, performance.now());
    this.ladder = ladder;
    for (const effect of effects) this.act(effect);
    clearTimeout(this.wakeTimer);
    const at = wakeAt(ladder);
    if (at !== null) {
      this.wakeTimer = window.setTimeout(
        () => this.dispatch({ type: 'tick' }),
        Math.max(0, at - performance.now()),
      );
    }
    this.tell();
  }

  private act(effect: Effect): void {
    switch (effect) {
      case 'start-rtc':
        this.media.startPeer({ ...this.options, iceServers: this.ice, codecs: this.codecs });
        break;
      case 'stop-rtc':
        this.media.stopPeers();
        break;
      case 'start-vnc':
        this.media.startVnc(`${this.address('vnc')}?viewer=${encodeURIComponent(this.state.me)}`);
        break;
      case 'stop-vnc':
        this.media.stopVnc();
        break;
      case 'say-fallback':
        this.options.notice({ kind: 'fallback', why: this.ladder.why });
        break;
      case 'say-back':
        this.options.notice({ kind: 'back', path: this.media.path });
        break;
    }
  }

  /** tell brings state, path and reason of the snapshot in line with the ladder, and says the path to the node. */
  private tell(): void {
    const l = this.ladder;
    if (!l.over) {
      const path: Path = l.shown === 'webrtc' ? this.media.path : l.shown === 'novnc' ? 'novnc' : 'none';
      const stale = l.shown === 'webrtc' && l.rtc === 'trying' && !this.media.flows;
      const live = l.shown !== 'none' && l.signal === 'up' && !stale;
      const state = live ? 'live' : this.state.state === 'connecting' ? 'connecting' : 'reconnecting';
      const doing = live ? '' : this.state.doing || 'The picture stopped; connecting again';
      this.set({ state, path, why: l.shown === 'novnc' ? l.why : whyOf(path), doing });
      if (live && this.told !== `${path} ${this.state.why}`) {
        this.told = `${path} ${this.state.why}`;
        this.signal.send({ type: 'path', path, why: this.state.why });
      }
      if (live) this.wantSize();
    }
  }

  private wantSize(again = false): void {
    if (again) this.sizer.forget();
    const { sizing, desktop, state } = this.state;
    if (sizing === 'match' && state === 'live' && inControl(this.state))
      this.sizer.want(this.stage.size, desktop);
  }

  private input(input: Input, fast: boolean): void {
    if (!inControl(this.state)) return;
    if (this.ladder.shown === 'webrtc' && this.media.send(input, fast)) return;
    this.signal.send({ type: 'input', input } satisfies ToNode);
  }

  private set(change: Partial<Snapshot>): void {
    const keys = Object.keys(change) as (keyof Snapshot)[];
    if (keys.every((k) => Object.is(this.state[k], change[k]))) return;
    this.state = { ...this.state, ...change };
    mark(this.root, this.state);
    for (const f of this.listeners) f();
  }
}
